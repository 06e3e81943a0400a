"""The same millimetres of every volume, whatever size its voxels have.

Without it a volume is scaled as a whole, each axis on its own: of a scan with thick slices the network sees a body that
is squeezed along one axis, and of two scanners two sizes of the same organ. MONAI's ``Spacingd`` with
``ResizeWithPadOrCropd`` would interpolate twice; here the box is cut out in voxels, and scaled once, with the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from medmamba_monai.core.errors import UserError

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First voxel along each axis, negative where the box begins outside the volume, and number of voxels."""


def parse_field_of_view(lengths: float | Sequence[float] | None) -> tuple[float, float, float] | None:
    """Return the sides of the box in mm along x, y and z; one number stands for all three.

    Raises:
        UserError: it is neither one nor three positive numbers.
    """
    if lengths is None:
        return None
    sides = tuple(float(side) for side in (lengths if isinstance(lengths, Sequence) else [lengths] * 3))
    if len(sides) != 3 or not all(math.isfinite(side) and side > 0 for side in sides):
        raise UserError(f"field_of_view: give one or three positive numbers, in mm, found {lengths!r}")
    return sides[0], sides[1], sides[2]


def find_box(shape: Sequence[int], spacing: Sequence[float] | None, sides: Sequence[float], name: str) -> Box:
    """Return the voxels of the box that has its center where the volume has it.

    Args:
        shape: of the volume.
        spacing: size of a voxel in mm along each axis; None where it is not known.
        sides: of the box, in mm. Each is rounded to whole voxels, one at least, so that the center may be off by half
            a voxel.
        name: the file, for errors.

    Raises:
        UserError: the size of the voxels is not known.
    """
    if spacing is None or not all(math.isfinite(length) and length > 0 for length in spacing):
        raise UserError(
            f"{name}: does not tell the size of its voxels ({spacing}), but a field_of_view is declared in mm; "
            "leave it out of the card, or write the file with its spacing"
        )
    counts = tuple(max(1, round(side / length)) for side, length in zip(sides, spacing, strict=True))
    starts = tuple(math.floor((length - count) / 2) for length, count in zip(shape, counts, strict=True))
    return (starts[0], starts[1], starts[2]), (counts[0], counts[1], counts[2])


def cut_box(volume: np.ndarray, box: Box) -> np.ndarray:
    """Cut the box out of a volume; what lies outside the volume is 0, black.

    Args:
        volume: (channels, x, y, z).
        box: of `find_box`.

    Returns:
        (channels, *the box's numbers of voxels), of the same type.
    """
    cut = np.zeros((len(volume), *box[1]), volume.dtype)
    inside, outside = _overlap(volume.shape[1:], box)
    cut[(slice(None), *inside)] = volume[(slice(None), *outside)]
    return cut


def put_back(cut: np.ndarray, box: Box, shape: Sequence[int]) -> np.ndarray:
    """Put what was cut out, or a map of it, back to its place: the inverse of `cut_box` inside the volume.

    Args:
        cut: (channels, *the box's numbers of voxels).
        box: of `find_box`.
        shape: of the volume.

    Returns:
        (channels, *shape), 0 outside the box.
    """
    whole = np.zeros((len(cut), *shape), cut.dtype)
    inside, outside = _overlap(shape, box)
    whole[(slice(None), *outside)] = cut[(slice(None), *inside)]
    return whole


def _overlap(shape: Sequence[int], box: Box) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where the volume and the box overlap, as places in the box and in the volume."""
    inside, outside = [], []
    for length, start, count in zip(shape, *box, strict=True):
        first, last = max(start, 0), min(start + count, length)
        inside.append(slice(first - start, last - start))
        outside.append(slice(first, last))
    return tuple(inside), tuple(outside)
