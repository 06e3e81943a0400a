"""The features that a bundle of slides learns from, checked against its card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.documents import path_to_text
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.data import FoldList, compute_md5
from medmamba_monai.images.slides.open import list_slide_files
from medmamba_monai.slides.encoder import TileEncoder
from medmamba_monai.slides.make_features import load_stored_encoder, make_features
from medmamba_monai.slides.store import FeatureStore, Manifest


class BundleFeatures:
    """Features of the slides of a bundle; nothing is read until it is asked for.

    Args:
        folder: of the features, see `FeatureStore`.
        card: of the dataset.
        fold_list: slides whose checksums are known; None for slides that are new.
        device: where features of new slides are made.
    """

    def __init__(
        self,
        folder: str | Path,
        card: DatasetCard,
        fold_list: FoldList | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.store = FeatureStore(folder)
        self.card, self.fold_list, self.device = card, fold_list, torch.device(device)

    @cached_property
    def manifest(self) -> Manifest:
        """What the features are.

        Raises:
            UserError: there are none, or the card says by now that slides are cut in another way.
        """
        found, card = self.store.manifest, self.card
        if (found.tiling, found.tile_size, found.reading) != (card.cutting, card.image_size, list_rules(card)):
            raise UserError(
                f"{self.store.folder}: its features are of {found.text}, which the card of {card.name} no longer says; "
                "embed the slides again with --overwrite, or change the card back"
            )
        return found

    @property
    def width(self) -> int:
        """Numbers of each tile."""
        return self.manifest.width

    @property
    def identity(self) -> str:
        """All that decides what the features of a slide are."""
        return self.manifest.text

    def read(self, path: str) -> Tensor:
        """Return the bag of a slide of the fold list: float32 (1 + width, N), its first channel 1.

        Raises:
            UserError: its features are not there.
        """
        key = self.find_key(path)
        if not self.store.has(key):
            raise UserError(
                f"{format_path(path)}: has no features in {self.store.folder}; the slides were not all embedded: "
                "medmamba-monai embed goes on with those that are left"
            )
        return _make_bag(self.store.open_features(key))

    def measure(self, paths: Iterable[str]) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (width,) of each feature over slides, each of which counts alike."""
        moments = []
        for path in paths:
            tiles = self.read(path)[1:].double()
            moments.append(torch.stack([tiles.mean(1), tiles.square().mean(1)]))
        mean, square = torch.stack(moments).mean(0)
        return mean.float(), (square - mean.square()).clamp(min=0).sqrt().float()

    def embed(self, path: str) -> Tensor:
        """Return the bag of any slide as `read` does, with features that are made and stored where they are not there.

        Raises:
            UserError: the slide cannot be read, or the features cannot be written.
        """
        key = compute_key(Path(path))
        if self.manifest and not self.store.has(key):
            make_features(Path(path), key, self.store, self._encoder)
        return _make_bag(self.store.open_features(key))

    def find_key(self, path: str) -> str:
        """Return the key of a slide of the fold list."""
        return self._keys[str(path)]

    @cached_property
    def _encoder(self) -> TileEncoder:
        return load_stored_encoder(self.store, self.device)

    @cached_property
    def _keys(self) -> dict[str, str]:
        assert self.fold_list is not None
        known = {source.path: source.md5 for source in self.fold_list.sources}
        root = self.fold_list.dataset_dir.absolute()
        items = [item for part in self.fold_list.parts(0).values() for item in part]
        return {item["image"]: _list_key(known, Path(item["image"]), root) for item in items}


def list_rules(card: DatasetCard) -> dict[str, Any]:
    """Return how values of the patches of volumes become gray, as arguments of `ReadImage`; slides have no rules."""
    return card.reading.arguments() if card.patching is not None else {}


def compute_key(path: Path) -> str:
    """Return the key of a slide: the MD5 of its file, or of those of its files."""
    return _join([compute_md5(file) for file in list_slide_files(path)])


def _list_key(known: dict[str, str], path: Path, root: Path) -> str:
    return _join([known[path_to_text(file.relative_to(root))] for file in list_slide_files(path)])


def _join(sums: list[str]) -> str:
    return sums[0] if len(sums) == 1 else hashlib.md5("".join(sums).encode(), usedforsecurity=False).hexdigest()


def _make_bag(features: np.ndarray) -> Tensor:
    bag = np.empty((1 + features.shape[1], len(features)), np.float32)
    bag[0], bag[1:] = 1, features.T
    return torch.from_numpy(bag)
