"""Features of all slides of a bundle, made once; what was stopped goes on with the slides that are left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.names import format_path
from medmamba_monai.data import default_dataset_dir, default_fold_list, read_fold_list
from medmamba_monai.slides.bundle_features import BundleFeatures, list_rules
from medmamba_monai.slides.encoder import TileEncoder, load_tile_encoder
from medmamba_monai.slides.make_features import BATCH_SIZE, make_features
from medmamba_monai.slides.store import FeatureStore, Manifest

FOLDER = "features"
"""Folder of a bundle's features, in the bundle."""
_SHOWN = 10


def embed_slides(
    bundle: Path,
    pretrained: str | Path | None = None,
    encoder: str | None = None,
    network_name: str | None = None,
    *,
    dataset_dir: str | Path | None = None,
    data_list: str | Path | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    overwrite: bool = False,
) -> FeatureStore:
    """Make the features of the tiles of all slides of a bundle, or of the patches of all volumes.

    Args:
        bundle: its folder.
        pretrained: weights that make them, see `load_tile_encoder`.
        encoder: instead, an encoder of transformers.
        network_name: network of the weights.
        dataset_dir: folder of the slides; by default that of the bundle.
        data_list: the folds, which prepare wrote; by default those of the bundle.
        output: folder of the features; by default ``features`` in the bundle.
        device: where to compute.
        batch_size: tiles that are encoded at once.
        overwrite: whether features of another kind that are there are removed.

    Returns:
        Where they are.

    Raises:
        UserError: the bundle is of no slides, an option does not fit, or slides cannot be read; features of the others
            are there then.
    """
    card = load_card(bundle / "configs" / "card.json")
    if card.cutting is None:
        raise UserError(
            f"{bundle}: is a bundle of images; only slides and patches of volumes are embedded, whose card says layout "
            "slides or patches"
        )
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size}: give a whole number from 1")
    places = (
        data_list or default_fold_list(str(bundle), card.name),
        dataset_dir or default_dataset_dir(str(bundle), card.name),
    )
    fold_list = read_fold_list(*places, name=card.name, reading=card.reading_arguments())
    made = load_tile_encoder(pretrained, encoder, network_name, resolve_device(device), card.spatial_dims)
    store = FeatureStore(output or bundle / FOLDER)
    with lock_folder(store.folder, "embedding"):
        manifest = _describe(card, made, encoder, network_name)
        store.begin(manifest, made.file.path if made.file else None, overwrite)
        paths = [item["image"] for part in fold_list.parts(0).values() for item in part]
        _embed(sorted(paths), BundleFeatures(store.folder, card, fold_list), made, batch_size)
    return store


def _describe(card: DatasetCard, made: TileEncoder, encoder: str | None, network_name: str | None) -> Manifest:
    blank = np.zeros((1, *[card.image_size] * card.spatial_dims, card.channels), np.uint8)
    known: dict[str, Any] = {"encoder": encoder, "network_name": network_name, "tile_size": card.image_size}
    known |= {"title": made.title, "identity": made.identity, "tiling": card.cutting}
    known |= {"reading": list_rules(card)}
    return Manifest(width=made(blank).shape[1], **known)


def _embed(paths: Sequence[str], features: BundleFeatures, encoder: TileEncoder, batch_size: int) -> None:
    left = [path for path in paths if not features.store.has(features.find_key(path))]
    errors: list[str] = []
    counts: list[int] = []
    of_slides = features.card.tiling is not None
    what, whole = ("tiles", "slide") if of_slides else ("patches", "volume")
    with tqdm(left, f"embed by {encoder.title}", unit=whole, disable=None) as bar:
        for path in bar:
            try:
                tiles = make_features(Path(path), features.find_key(path), features.store, encoder, batch_size)
            except UserError as error:
                errors.append(str(error))
                continue
            counts.append(len(tiles.corners))
            if tiles.usable > len(tiles.corners):
                bar.write(
                    f"{format_path(path)}: {len(tiles.corners):,} of {tiles.usable:,} {what} that show something are "
                    f"taken, evenly spread: max_{what} in the card"
                )
    there = f", {len(paths) - len(left)} were there" if len(left) < len(paths) else ""
    print(
        f"{len(counts)} {whole}s embedded, {sum(counts):,} {what}{there}: {format_path(features.store.folder)}",
        flush=True,
    )
    if errors:
        more = f"\nand {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise UserError(f"{len(errors)} {whole}s cannot be used:\n" + "\n".join(errors[:_SHOWN]) + more)
