"""NIfTI images: scaled values in the axes right, anterior and superior (RAS+)."""

from __future__ import annotations

import gzip
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, io_orientation
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, choose_frame

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr")

_GZIP = b"\x1f\x8b"
_HEAD = 540
_MAX_OFFSET = 2**24  # bytes of header extensions
_NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, np.linalg.LinAlgError)


def is_nifti(path: Path, head: bytes) -> bool:
    """Return whether a file is NIfTI, compressed NIfTI, or the pixels (.img) of a NIfTI pair."""
    if head.startswith(_GZIP):
        return True
    return _choose_header_class(head) is not None or (
        path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file()
    )


def count_nifti_frames(path: Path) -> int:
    """Return the length of the fourth axis, from the header.

    Raises:
        UserError: the file is damaged or no NIfTI.
    """
    with explain_file_errors(path, "a NIfTI image", *_NOT_NIFTI):
        return _count_frames(_read_header(path))


def read_nifti(path: Path, spatial_dims: int, frame: Frame, limits: Limits) -> RawImage:
    """Read a volume or one image.

    A single image (one axis of length 1) is laid out as a radiologist looks at it. Axial: the first row is anterior.
    Coronal and sagittal: the first row is superior. The first column is the patient's right, or anterior in a sagittal
    image. An image that ITK wrote from the rows of a PNG comes back as these rows.

    Args:
        path: a .nii, .nii.gz, .hdr or .img file.
        spatial_dims: 2 or 3.
        frame: which of several volumes along a fourth axis.
        limits: what it may expand to.

    Returns:
        (x, y, z), or (rows, columns), one axis more for RGB; scaled by the header's slope and intercept.

    Raises:
        UserError: it is damaged, too large, tells no orientation, or has other dimensions.
    """
    name = format_path(path)
    with explain_file_errors(path, "a NIfTI image", *_NOT_NIFTI):
        header = _read_header(path)
        _check_header(header, name, limits)
        index = choose_frame(name, _count_frames(header), frame)
        image = _load(path, header, limits, name)
        affine = _read_affine(image, name)
        stored = _read_stored(image, index)
        raw = _make_raw_image(stored, image)
    return _orient(raw, affine, spatial_dims, name)


def _choose_header_class(head: bytes) -> type[nibabel.Nifti1Header] | None:
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return nibabel.Nifti1Header
    if head[4:8] in (b"n+2\0", b"ni2\0"):
        return nibabel.Nifti2Header
    return None


def _find_header(path: Path) -> Path:
    return path.with_suffix(".hdr") if path.suffix.lower() == ".img" else path


def _read_header(path: Path) -> nibabel.Nifti1Header:
    with _find_header(path).open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        head = gzip.GzipFile(fileobj=file).read(_HEAD) if packed else file.read(_HEAD)
    kind = _choose_header_class(head)
    if kind is None:
        what = "a gzip file that holds" if packed else "a file that is"
        raise UserError(f"{format_path(path)}: is {what} no NIfTI image; convert it to NIfTI")
    size = 348 if kind is nibabel.Nifti1Header else 540
    return kind.from_fileobj(io.BytesIO(head[:size]), check=True)


def _get_shape(header: nibabel.Nifti1Header) -> tuple[int, ...]:
    shape = tuple(int(length) for length in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape + (1,) * (3 - len(shape))


def _count_frames(header: nibabel.Nifti1Header) -> int:
    return _get_shape(header)[3] if len(_get_shape(header)) > 3 else 1


def _check_header(header: nibabel.Nifti1Header, name: str, limits: Limits) -> None:
    shape, dtype = _get_shape(header), header.get_data_dtype()
    if len(shape) > 4:
        raise UserError(f"{name}: has {len(shape)} dimensions {shape}, expected at most 4; split it")
    limits.check(name, shape[:3], dtype.itemsize * (shape[3] if len(shape) > 3 else 1))
    if dtype.kind not in "iuf" and dtype.names is None:
        raise UserError(f"{name}: has values of type {dtype}, which is not supported; convert it")
    if header["vox_offset"] > _MAX_OFFSET:
        raise UserError(f"{name}: its voxels begin at byte {header['vox_offset']:g}; download it again")


def _load(path: Path, header: nibabel.Nifti1Header, limits: Limits, name: str) -> Any:
    voxels = math.prod(_get_shape(header)) * header.get_data_dtype().itemsize
    bound = limits.bound(max(0, int(header["vox_offset"])) + voxels)
    with _find_header(path).open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        content = (gzip.GzipFile(fileobj=file) if packed else file).read(bound + 1)  # to the end: checks the sum
    if len(content) > bound:
        raise limits.explain_excess(name, bound)
    second = _choose_header_class(content) is nibabel.Nifti2Header
    if content[344:347] == b"ni1" or content[4:7] == b"ni2":
        return (nibabel.Nifti2Pair if second else nibabel.Nifti1Pair).from_filename(_find_header(path), mmap=False)
    return (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(content)


def _read_affine(image: Any, name: str) -> np.ndarray:
    if image.header["sform_code"] <= 0 and image.header["qform_code"] <= 0:
        raise UserError(
            f"{name}: does not tell its orientation (qform_code and sform_code are 0), and programs disagree on what "
            "holds then; set one of them"
        )
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise UserError(f"{name}: its affine {affine[:3].tolist()} maps voxels to no place; correct its qform or sform")
    return affine


def _read_stored(image: Any, index: int) -> np.ndarray:
    stored = np.asanyarray(image.dataobj.get_unscaled())
    shape = _get_shape(image.header)
    return stored.reshape((*shape[:3], -1), order="F")[..., index] if stored.size else stored


def _make_raw_image(stored: np.ndarray, image: Any) -> RawImage:
    kind = f"NIfTI {image.get_data_dtype()}"
    if stored.dtype.names is not None:
        return _read_colors(stored, f"NIfTI {'RGBA' if 'A' in stored.dtype.names else 'RGB'}")
    slope, intercept = image.dataobj.slope, image.dataobj.inter  # the header of a loaded image has lost them
    if (slope, intercept) != (1, 0):
        kind += f" scaled by {slope:g}, {intercept:g}"
        stored = stored.astype(np.float64) * slope + intercept
    if stored.dtype.kind == "f" and stored.dtype.itemsize > 8:
        stored = stored.astype(np.float64)
    stored = stored.astype(stored.dtype.newbyteorder("="))
    nominal = None
    if stored.dtype.kind != "f":
        nominal = float(np.iinfo(stored.dtype).min), float(np.iinfo(stored.dtype).max)
    return RawImage(stored, kind, nominal=nominal, has_default=stored.dtype == np.uint8, format="NIfTI")


def _read_colors(stored: np.ndarray, kind: str) -> RawImage:
    colors = np.stack([stored[channel] for channel in "RGB"], axis=-1)
    alpha = stored["A"].astype(np.float32) / np.float32(255) if "A" in (stored.dtype.names or ()) else None
    return RawImage(colors, kind, True, alpha=alpha, format="NIfTI")


def _orient(raw: RawImage, affine: np.ndarray, spatial_dims: int, name: str) -> RawImage:
    orientation = io_orientation(affine)
    single = _find_single_axis(raw.values.shape[:3], orientation, name) if spatial_dims == 2 else None

    def turned(array: np.ndarray) -> np.ndarray:
        volume = apply_orientation(array, orientation)
        return volume if single is None else np.take(volume, 0, axis=single)[::-1, ::-1].swapaxes(0, 1)

    return replace(raw, values=turned(raw.values), alpha=None if raw.alpha is None else turned(raw.alpha))


def _find_single_axis(shape: tuple[int, ...], orientation: np.ndarray, name: str) -> int:
    """Return the axis of length 1 after reorientation; of several the last of the file."""
    single = [axis for axis in (2, 1, 0) if shape[axis] == 1]
    if not single:
        raise UserError(f"{name}: is a volume of {shape}, but 2 dimensions are declared; set spatial_dims to 3")
    return int(orientation[single[0], 0])
