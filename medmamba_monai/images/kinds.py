"""The reader for each file, chosen by what the file is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.images.dicom.read import count_dicom_frames, read_dicom
from medmamba_monai.images.dicom.series import read_multiframe, read_series
from medmamba_monai.images.formats import find_format
from medmamba_monai.images.meta_image import count_meta_image_frames, read_meta_image
from medmamba_monai.images.mgh import count_mgh_frames, read_mgh
from medmamba_monai.images.nifti import count_nifti_frames, read_nifti
from medmamba_monai.images.npz import NpzReference, read_npz_array
from medmamba_monai.images.nrrd import count_nrrd_frames, read_nrrd
from medmamba_monai.images.pillow.read import count_picture_frames, read_picture
from medmamba_monai.images.raw_image import FileFormat, Frame, Limits, RawImage, check_frame_count
from medmamba_monai.images.slides.open import Slide

_VOLUMES = {"NIfTI": read_nifti, "MGH": read_mgh, "NRRD": read_nrrd, "MetaImage": read_meta_image}
_COUNTS = {
    "picture": count_picture_frames,
    "DICOM": count_dicom_frames,
    "NIfTI": count_nifti_frames,
    "MGH": count_mgh_frames,
    "NRRD": count_nrrd_frames,
    "MetaImage": count_meta_image_frames,
}


def read_raw(source: str | os.PathLike[str], spatial_dims: int, frame: Frame, limits: Limits) -> RawImage:
    """Decode an image or volume, with no rule of intensity applied.

    Args:
        source: a file, ``path#frame[3]``, ``file.npz#key[index]``, or for 3 dimensions a folder of one DICOM series.
        spatial_dims: 2 or 3.
        frame: which frame, where the source does not name it.
        limits: what it may expand to.

    Raises:
        UserError: it is missing, damaged, too large, not of these dimensions or of a kind that is not supported.
    """
    text = os.fspath(source)
    if reference := NpzReference.parse(text):
        return _read_npz(reference, spatial_dims, limits)
    if named := FrameReference.parse(text):
        text, frame = named.file, named.frame
    path = Path(text)
    folder = spatial_dims == 3 and path.is_dir()
    kind: FileFormat = "DICOM" if folder else find_format(path)
    if kind == "DICOM" and spatial_dims == 3:
        if isinstance(frame, int):
            raise UserError(f"{format_path(path)}: frame {frame} is named, which is flat; set spatial_dims to 2")
        return read_series(path, limits) if folder else read_multiframe(path, limits)
    if kind == "picture":
        if spatial_dims == 3:
            raise UserError(
                f"{format_path(path)}: is a flat picture; volumes are read from NIfTI, MGH, NRRD, MetaImage, DICOM "
                "or npz files"
            )
        return read_picture(path, frame, limits)
    if kind in _VOLUMES:
        return _VOLUMES[kind](path, spatial_dims, frame, limits)
    return read_dicom(path, frame, limits)


def read_slide(source: str | os.PathLike[str], edge: int, limits: Limits) -> RawImage:
    """Read a slide with at most so many pixels along its longer edge.

    Raises:
        UserError: it is missing, damaged or no slide that can be read.
    """
    with Slide(Path(source)) as slide:
        return describe_array(slide.read_thumbnail(edge), slide.name, 2, limits, "slide")


def count_frames(path: str | os.PathLike[str]) -> int:
    """Return the frames of a file, from its headers; 1 for a single image or volume and for a folder.

    Raises:
        UserError: the file cannot be read.
    """
    if Path(path).is_dir():
        return 1
    path = Path(path)
    return check_frame_count(format_path(path), _COUNTS[find_format(path)](path))


def _read_npz(reference: NpzReference, spatial_dims: int, limits: Limits) -> RawImage:
    array = read_npz_array(reference.file, reference.key)
    if not 0 <= reference.index < len(array):
        raise UserError(
            f"{format_path(str(reference))}: the array holds {len(array)} images; run prepare again for this file"
        )
    return describe_array(array[reference.index], format_path(str(reference)), spatial_dims, limits, "npz")


def describe_array(
    values: np.ndarray, name: str, spatial_dims: int, limits: Limits, source: FileFormat = "array"
) -> RawImage:
    """Return an array as what a file would hold: its full range by its type, and no rule of intensity applied.

    Args:
        values: (rows, columns) or (rows, columns, 3); of 3 dimensions (x, y, z) or (x, y, z, 3). It is copied.
        name: what it is called in messages.
        spatial_dims: 2 or 3.
        limits: what it may take.
        source: what it came from.

    Raises:
        UserError: it is neither gray nor RGB in these dimensions, or too large.
    """
    color = values.ndim == spatial_dims + 1 and values.shape[-1] == 3
    if values.dtype.kind not in "iuf" or not (color or values.ndim == spatial_dims):
        raise UserError(
            f"{name}: shape {values.shape} of {values.dtype} is neither gray nor RGB in {spatial_dims} dimensions"
        )
    limits.check(name, values.shape[:spatial_dims], values.dtype.itemsize * (3 if color else 1))
    nominal, has_default = _get_full_range(values.dtype), values.dtype == np.uint8
    description = f"{source}, {values.dtype}"
    return RawImage(np.array(values, order="C"), description, color, nominal, has_default, format=source)


def _get_full_range(dtype: np.dtype) -> tuple[float, float] | None:
    return None if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
