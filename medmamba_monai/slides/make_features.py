"""Features of one slide or volume: its tiles or patches are found, read and encoded batch by batch, and stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.layered_volume import LayeredVolume
from medmamba_monai.images.patches import Patches, Patching, choose_rules, find_patches, read_patches
from medmamba_monai.images.raw_image import MAX_PIXELS, Limits
from medmamba_monai.images.slides.open import Slide
from medmamba_monai.images.slides.tiles import Tiles, find_tiles, read_tile
from medmamba_monai.slides.encoder import TileEncoder, load_tile_encoder
from medmamba_monai.slides.store import ENCODER, FeatureStore

BATCH_SIZE = 64
"""Tiles that are encoded at once; what is in memory of a slide."""


def make_features(
    path: Path, key: str, store: FeatureStore, encoder: TileEncoder, batch_size: int = BATCH_SIZE
) -> Tiles | Patches:
    """Make and store the features of a slide or a volume.

    Args:
        path: the slide or the volume.
        key: see `FeatureStore`.
        store: where they go; its manifest says how it is cut.
        encoder: what makes them.
        batch_size: tiles that are encoded at once.

    Returns:
        Its tiles or patches.

    Raises:
        UserError: it cannot be read, or shows nothing; names it.
    """
    manifest = store.manifest
    if isinstance(manifest.tiling, Patching):
        limits, rules = Limits(manifest.reading.get("max_pixels", MAX_PIXELS)), choose_rules(manifest.reading)
        with LayeredVolume(path, limits) as volume:
            patches = find_patches(volume, manifest.tiling, rules, manifest.tile_size)
            read = read_patches(volume, patches.corners, patches.edges, patches.size, rules)
            store.write(key, patches.corners, (encoder(batch) for batch in _stack(read, batch_size)))
        return patches
    with Slide(path) as slide:
        tiles = find_tiles(slide, manifest.tiling, manifest.tile_size)
        store.write(key, tiles.corners, (encoder(batch) for batch in read_batches(slide, tiles, batch_size)))
    return tiles


def read_batches(slide: Slide, tiles: Tiles, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a slide, uint8 (B, size, size, 3), at most so many at once."""
    for start in range(0, len(tiles.corners), batch_size):
        numbers = range(start, min(start + batch_size, len(tiles.corners)))
        yield np.stack([read_tile(slide, tiles, number) for number in numbers])


def _stack(patches: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """Yield patches (B, size, size, size, 1), at most so many at once."""
    rest = iter(patches)
    while batch := list(islice(rest, batch_size)):
        yield np.stack(batch)[..., None]


def load_stored_encoder(store: FeatureStore, device: torch.device) -> TileEncoder:
    """Load what made the features of a store.

    Raises:
        UserError: it is not there any more, or is another one.
    """
    manifest = store.manifest
    weights = store.folder / ENCODER if manifest.encoder is None else None
    dims = 3 if isinstance(manifest.tiling, Patching) else 2
    encoder = load_tile_encoder(weights, manifest.encoder, manifest.network_name, device, dims)
    if encoder.identity != manifest.identity:
        raise UserError(
            f"{store.folder}: its features are of {manifest.identity}, and what is there now is {encoder.identity}; "
            "embed the slides again"
        )
    return encoder
