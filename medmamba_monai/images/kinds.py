"""The choice of the reader for a file: by its first bytes, never by its name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.images.dicom.read import count_dicom_frames, read_dicom
from medmamba_monai.images.dicom.recognize import DICOM_SUFFIXES, is_dicom, looks_like_dicom
from medmamba_monai.images.dicom.series import read_multiframe, read_series
from medmamba_monai.images.nifti import NIFTI_SUFFIXES, count_nifti_frames, is_nifti, read_nifti
from medmamba_monai.images.npz import NpzReference, read_npz_array
from medmamba_monai.images.pillow.read import PICTURE_SUFFIXES, count_picture_frames, is_picture, read_picture
from medmamba_monai.images.raw_image import FileFormat, Frame, Limits, RawImage

READABLE_SUFFIXES = (*PICTURE_SUFFIXES, *DICOM_SUFFIXES, *NIFTI_SUFFIXES)

_HEAD = 352
_NO_SUFFIX = re.compile(r"[^.]+|[\d.]+")
_OTHERS = {
    b"PK": "a zip archive; unpack it, or name an array as file.npz#key[0]",
    b"%PDF": "a PDF document; export its images",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture, which is not supported; convert it to PNG",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture, which is not supported; convert it to PNG",
    b"\x89HDF": "an HDF5 file, which is not supported; convert it",
    b"NRRD": "an NRRD file, which is not supported; convert it to NIfTI",
    b"ObjectType": "a MetaImage file, which is not supported; convert it to NIfTI",
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
    kind: FileFormat = "DICOM" if folder else _find_format(path)
    if kind == "DICOM" and spatial_dims == 3:
        if isinstance(frame, int):
            raise UserError(f"{format_path(path)}: frame {frame} is named, which is flat; set spatial_dims to 2")
        return read_series(path, limits) if folder else read_multiframe(path, limits)
    if kind == "picture":
        if spatial_dims == 3:
            raise UserError(f"{format_path(path)}: is a flat picture; volumes are read from NIfTI, DICOM or npz files")
        return read_picture(path, frame, limits)
    if kind == "NIfTI":
        return read_nifti(path, spatial_dims, frame, limits)
    return read_dicom(path, frame, limits)


def count_frames(path: str | os.PathLike[str]) -> int:
    """Return the frames of a file, from its headers; 1 for a single image or volume and for a folder.

    Raises:
        UserError: the file cannot be read.
    """
    if Path(path).is_dir():
        return 1
    counts = {"picture": count_picture_frames, "DICOM": count_dicom_frames, "NIfTI": count_nifti_frames}
    return counts[_find_format(Path(path))](Path(path))


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one to read: by its suffix, or, without one, because it is DICOM."""
    path = Path(path)
    name = path.name.lower()
    if name.endswith(READABLE_SUFFIXES):
        return path.is_file()
    return _NO_SUFFIX.fullmatch(name) is not None and looks_like_dicom(path)


def _find_format(path: Path) -> FileFormat:
    head = _read_head(path)
    if is_dicom(head):  # first: a DICOM file may begin with the bytes of a TIFF file
        return "DICOM"
    if is_picture(head):
        return "picture"
    if is_nifti(path, head):
        return "NIfTI"
    if not head:
        raise UserError(f"{format_path(path)}: is empty; download it again")
    for signature, what in _OTHERS.items():
        if head.startswith(signature):
            raise UserError(f"{format_path(path)}: is {what}")
    raise UserError(
        f"{format_path(path)}: is damaged or no PNG, JPEG, BMP, TIFF, GIF, WebP, DICOM or NIfTI file; download "
        "it again or "
        "convert it"
    )


def _read_head(path: Path) -> bytes:
    try:
        return _read_bytes(path)
    except IsADirectoryError as error:
        raise UserError(f"{format_path(path)}: is a folder, not an image") from error
    except FileNotFoundError as error:
        raise UserError(f"{format_path(path)}: does not exist") from error
    except PermissionError as error:
        what = "is a folder, not an image" if path.is_dir() else "may not be read; change its permissions"
        raise UserError(f"{format_path(path)}: {what}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{format_path(path)}: cannot be read ({error})") from error


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


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
