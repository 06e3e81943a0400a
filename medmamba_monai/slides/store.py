"""Features of slides, and of volumes in patches, on disk: a file for each that is mapped into memory, not read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from pydantic import BaseModel, ConfigDict

from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import replace_atomically, write_json
from medmamba_monai.images.patches import Patching
from medmamba_monai.images.slides.tiles import Tiling

MANIFEST = "features.json"
ENCODER = "encoder.safetensors"
"""The weights that made the features, so that features of other slides can be made."""


class Manifest(BaseModel):
    """What the features of a folder are.

    Attributes:
        title: of the network that made them.
        identity: class and SHA-256 of its weights.
        encoder: name of an encoder of transformers; None where the weights stand in `ENCODER`.
        network_name: of the weights; None for what their header says.
        width: numbers of each tile.
        tile_size: edge of a tile or patch in its pixels.
        tiling: how slides or volumes were cut.
        reading: how their values became gray, see `ReadImage`; slides have no rules.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    identity: str
    encoder: str | None
    network_name: str | None
    width: int
    tile_size: int
    tiling: Tiling | Patching
    reading: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """All that decides what the features of a slide or a volume are, in one line."""
        said = self.tiling.model_dump(exclude_none=True) | self.reading
        what = "tiles" if isinstance(self.tiling, Tiling) else "patches"
        values = ", ".join(f"{name} {value}" for name, value in said.items())
        return f"{self.identity}, {what} of {self.tile_size} pixels, {values}"


class FeatureStore:
    """A folder of features; making one touches no disk.

    A slide is known by its key, the MD5 of its files. Its features ``<key>.npy``, float32 (N, width), are written last
    and whole or not at all, beside the corners of its tiles ``<key>.corners.npy``, int64 (N, 2); of a volume (N, 3).

    Attributes:
        folder: where it is.

    Args:
        folder: where it is to be.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def manifest(self) -> Manifest:
        """What the features are.

        Raises:
            UserError: there is no such folder, or it is damaged.
        """
        if not self.exists():
            raise UserError(f"{self.folder}: holds no features of slides; make them with: medmamba-monai embed BUNDLE")
        return read_document(self.folder / MANIFEST, Manifest)

    def exists(self) -> bool:
        """Return whether features are there."""
        return (self.folder / MANIFEST).is_file()

    def begin(self, manifest: Manifest, weights: Path | None, overwrite: bool = False) -> None:
        """Make the folder, or go on with one that has features of the same kind.

        Args:
            manifest: what is to be stored.
            weights: file that is kept beside the features.
            overwrite: whether features of another kind are removed.

        Raises:
            UserError: it holds features of another kind, or cannot be written.
        """
        if self.exists() and self.manifest != manifest:
            if not overwrite:
                raise UserError(
                    f"{self.folder}: holds features of {self.manifest.text}, and these would be of {manifest.text}; "
                    "choose another folder with --output, or pass --overwrite"
                )
            for path in self.folder.glob("[!.]*"):  # not the lock, which is held
                path.unlink()
            del self.manifest
        if self.exists():
            return
        if weights is not None:
            with replace_atomically(self.folder / ENCODER) as path:
                shutil.copyfile(weights, path)
        write_json(self.folder / MANIFEST, manifest.model_dump(mode="json"))

    def has(self, key: str) -> bool:
        """Return whether the features of a slide are there."""
        return self._features(key).is_file() and self._corners(key).is_file()

    def open_features(self, key: str) -> np.ndarray:
        """Return the features of a slide (N, width), mapped into memory."""
        return np.asarray(np.load(self._features(key), mmap_mode="r"))

    def read_corners(self, key: str) -> np.ndarray:
        """Return where the tiles of a slide are: int64 (N, 2), column and row of each corner on its finest level.

        Of a volume (N, 3), x, y and z of the first voxel of each patch.
        """
        return np.asarray(np.load(self._corners(key)))

    def write(self, key: str, corners: np.ndarray, batches: Iterable[np.ndarray]) -> None:
        """Store a slide; the features come batch by batch and go to disk at once.

        Args:
            key: of the slide.
            corners: (N, 2), or (N, 3).
            batches: arrays (B, width), N rows in all.

        Raises:
            UserError: the folder cannot be written.
        """
        with replace_atomically(self._corners(key)) as path, path.open("wb") as stream:
            np.save(stream, corners)
        with replace_atomically(self._features(key)) as path:
            mapped = open_memmap(path, "w+", np.float32, (len(corners), self.manifest.width))
            row = 0
            for batch in batches:
                mapped[row : row + len(batch)] = batch
                row += len(batch)
            mapped.flush()

    def _features(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _corners(self, key: str) -> Path:
        return self.folder / f"{key}.corners.npy"
