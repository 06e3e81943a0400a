"""Volumes and single slices of them, turned to how a person looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from nibabel.orientations import aff2axcodes, apply_orientation, io_orientation

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.origin import Origin
from medmamba_monai.images.raw_image import RawImage

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
"""From the axes of DICOM and ITK (left, posterior, superior) to those of NIfTI."""


def orient(raw: RawImage, directions: np.ndarray, spatial_dims: int, name: str) -> RawImage:
    """Turn a volume to RAS+, or lay out its only slice as a radiologist looks at it.

    Args:
        raw: its first three axes in the order of the file.
        directions: (3, 3), where a step along each axis (column) leads: right, anterior, superior.
        spatial_dims: 3, or 2 where an axis has length 1.
        name: the file, for errors.

    Raises:
        UserError: the directions lead nowhere, or 2 dimensions are asked of a volume.
    """
    if not np.isfinite(directions).all() or np.linalg.matrix_rank(directions) < 3:
        raise UserError(
            f"{name}: its orientation {directions.tolist()} maps voxels to no place; correct its directions, in NIfTI "
            "its qform or sform"
        )
    affine = np.eye(4)
    affine[:3, :3] = directions
    orientation = io_orientation(affine)
    single = _find_single_axis(raw.values.shape[:3], orientation, name) if spatial_dims == 2 else None

    def turned(array: np.ndarray) -> np.ndarray:
        volume = apply_orientation(array, orientation)
        return volume if single is None else np.take(volume, 0, axis=single)[::-1, ::-1].swapaxes(0, 1)

    return replace(
        raw,
        values=turned(raw.values),
        alpha=None if raw.alpha is None else turned(raw.alpha),
        origin={**raw.origin, **_describe_origin(raw, affine)},
        spacing=turn_spacing(_measure_steps(affine), orientation) if single is None else None,
    )


def turn_spacing(spacing: Sequence[float], orientation: np.ndarray) -> tuple[float, float, float]:
    """Return the size of a voxel along x, y and z.

    Args:
        spacing: along the axes of the file.
        orientation: (3, 2) of `nibabel.orientations.io_orientation`: where each axis of the file goes.
    """
    turned = dict(zip((int(axis) for axis in orientation[:, 0]), spacing, strict=True))
    return float(turned[0]), float(turned[1]), float(turned[2])


def _measure_steps(affine: np.ndarray) -> tuple[float, ...]:
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))


def _describe_origin(raw: RawImage, affine: np.ndarray) -> Origin:
    axes = "".join(aff2axcodes(affine))
    return {"mode": str(raw.values.dtype), "stored axes": axes, "voxel spacing": _measure_steps(affine)}


def _find_single_axis(shape: tuple[int, ...], orientation: np.ndarray, name: str) -> int:
    """Return the axis of length 1 after reorientation; of several the last of the file."""
    single = [axis for axis in (2, 1, 0) if shape[axis] == 1]
    if not single:
        raise UserError(f"{name}: is a volume of {shape}, but 2 dimensions are declared; set spatial_dims to 3")
    return int(orientation[single[0], 0])
