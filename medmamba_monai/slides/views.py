"""What is drawn of a slide or a volume: a picture, where its tiles lie in it, and those with most attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.cards import DatasetCard
from medmamba_monai.evaluation.figures.attention import MOST_TILES
from medmamba_monai.images import ReadImage
from medmamba_monai.images.intensity import Rules
from medmamba_monai.images.layered_volume import LayeredVolume
from medmamba_monai.images.patches import Place, choose_rules, read_patches
from medmamba_monai.images.raw_image import Limits
from medmamba_monai.images.slides.open import Slide

_THUMBNAIL = 1024


@dataclass(frozen=True)
class View:
    """What `draw_attention` is given, and in words where it is.

    Attributes:
        thumbnail: uint8 (rows, columns, 3).
        corners: (N, 2), column and row of each tile in it.
        edge: columns and rows of a tile in it.
        attention: (N,), in shares whose even one is 1 / N.
        tiles: those with most attention in falling order.
        where: which part of a volume it is; empty of a slide.
    """

    thumbnail: np.ndarray
    corners: np.ndarray
    edge: tuple[float, float]
    attention: np.ndarray
    tiles: Sequence[np.ndarray]
    where: str = ""


def view_slide(path: str, card: DatasetCard, corners: np.ndarray, weights: np.ndarray) -> View:
    """Return the whole slide and all of its tiles.

    Args:
        path: the slide.
        card: of the dataset.
        corners: (N, 2), column and row of each tile on the finest level.
        weights: (N,), the attention to each.
    """
    size, tiling = card.image_size, card.tiling
    assert tiling is not None
    with Slide(path) as slide:
        downsample = tiling.find_downsample(slide)
        thumbnail = slide.read_thumbnail(_THUMBNAIL)
        scale = max(slide.width, slide.height) / max(thumbnail.shape[:2])
        best = np.argsort(-weights)[:MOST_TILES]
        places = [(int(column), int(row)) for column, row in corners[best]]
        tiles = [slide.read(place, downsample, (size, size)) for place in places]
    edge = size * downsample / scale
    return View(thumbnail, corners / scale, (edge, edge), weights, tiles)


def view_volume(path: str, card: DatasetCard, corners: np.ndarray, weights: np.ndarray) -> View:
    """Return the axial plane through the patch with most attention, as a radiologist looks at it, and its patches.

    Args:
        path: the volume.
        card: of the dataset.
        corners: (N, 3), x, y and z of the first voxel of each patch.
        weights: (N,), the attention to each.
    """
    reading, patching = card.reading.arguments(), card.patching
    assert patching is not None
    overview = ReadImage(**card.reading_arguments())(path)[0].numpy()
    rules, limits = choose_rules(reading), Limits(card.reading.max_pixels)
    with LayeredVolume(path, limits) as volume:
        edges = patching.find_edges(volume, card.image_size)
        scale = -(-max(volume.shape) // max(overview.shape))
        z = int(corners[weights.argmax(), 2]) + min(edges[2], volume.shape[2]) // 2
        inside = np.flatnonzero((corners[:, 2] <= z) & (z < corners[:, 2] + edges[2]))
        best = inside[np.argsort(-weights[inside])][:MOST_TILES]
        tiles = [_cut_plane(volume, corners[number], edges, z, card.image_size, rules) for number in best]
        width, height = volume.shape[:2]
    columns, rows = width - corners[inside, 0] - edges[0], height - corners[inside, 1] - edges[1]
    places = np.clip(np.stack([columns, rows], axis=1), 0, None) / scale
    shares = weights[inside] * len(weights) / len(inside)
    edge = (min(edges[0], width) / scale, min(edges[1], height) / scale)
    plane = _lay_out(overview[:, :, min(z // scale, overview.shape[2] - 1)])
    return View(plane, places, edge, shares, tiles, f"; axial plane {z + 1} of {volume.shape[2]}")


def _cut_plane(volume: LayeredVolume, corner: np.ndarray, edges: Place, z: int, size: int, rules: Rules) -> np.ndarray:
    (patch,) = read_patches(volume, corner[None], edges, size, rules)
    return _lay_out(patch[:, :, min((z - int(corner[2])) * size // edges[2], size - 1)])


def _lay_out(plane: np.ndarray) -> np.ndarray:
    """Return a plane (x, y) as (rows, columns, 3): anterior is up, the patient's right is left."""
    return np.repeat(plane[::-1, ::-1].T[..., None], 3, axis=2)
