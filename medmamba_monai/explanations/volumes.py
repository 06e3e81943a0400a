"""Maps of NIfTI volumes as NIfTI files that viewers lay over the volume."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

from medmamba_monai.core.files import replace_atomically
from medmamba_monai.images.field_of_view import find_box, parse_field_of_view, put_back
from medmamba_monai.images.nifti import NIFTI_SUFFIXES
from medmamba_monai.images.resize import ResizeImage

_RAS = np.array([[0, 1], [1, 1], [2, 1]])


def is_nifti_volume(source: str, spatial_dims: int) -> bool:
    """Say whether an image is a volume in a NIfTI file of its own, which has a place in space."""
    return spatial_dims == 3 and source.lower().endswith(NIFTI_SUFFIXES) and Path(source).is_file()


def write_in_space(
    path: Path, values: np.ndarray, source: str, field_of_view: float | Sequence[float] | None = None
) -> None:
    """Write a map with the axes, the size and the place in space of its volume, atomically.

    Args:
        path: of the file, ``.nii.gz``.
        values: (x, y, z), the map of what the network sees, of any resolution.
        source: the volume's file.
        field_of_view: what of the volume the network sees, see `ReadImage`; the map is 0 outside.

    Raises:
        UserError: the volume does not tell the size of its voxels, and ``field_of_view`` needs it.
    """
    volume: Any = nibabel.load(source)
    orientation = io_orientation(volume.affine)
    turned = nibabel.as_closest_canonical(volume)
    shape, sides = turned.shape[:3], parse_field_of_view(field_of_view)
    if sides is None:
        whole = _scale(values, shape)
    else:
        box = find_box(shape, [float(length) for length in turned.header.get_zooms()[:3]], sides, source)
        whole = put_back(_scale(values, box[1])[None], box, shape)[0]
    found = apply_orientation(whole, ornt_transform(_RAS, orientation)).astype(np.float32)
    with replace_atomically(path) as temporary:
        temporary.write_bytes(gzip.compress(nibabel.Nifti1Image(found, volume.affine).to_bytes(), mtime=0))


def _scale(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    return np.asarray(ResizeImage(shape)(torch.from_numpy(np.asarray(values, np.float32))[None])[0].numpy())
