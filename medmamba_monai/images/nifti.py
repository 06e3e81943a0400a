"""NIfTI images: scaled values in the axes right, anterior and superior (RAS+)."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.gzip_files import read_content, read_head
from medmamba_monai.images.orientation import orient
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, choose_frame

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr")

_ANALYZE_BYTES = 348
_ANALYZE_SIZES = {struct.pack(f"{order}i", _ANALYZE_BYTES): order for order in "<>"}
"""The first bytes of a header, which tell its byte order."""
_MAX_OFFSET = 2**24  # bytes of header extensions
NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, np.linalg.LinAlgError)


def is_nifti(head: bytes) -> bool:
    """Return whether a file that starts so, unpacked, is NIfTI or the header of a NIfTI pair."""
    return _choose_header_class(head) is not None


def is_analyze(head: bytes) -> bool:
    """Return whether a file that starts so is a header of Analyze 7.5, from which NIfTI was made."""
    order = _ANALYZE_SIZES.get(head[:4])
    return order is not None and len(head) >= _ANALYZE_BYTES and 1 <= struct.unpack_from(order + "h", head, 40)[0] <= 7


def find_pair_header(path: Path) -> Path | None:
    """Return the header (.hdr) of the pixels (.img) of a pair; None where there is none."""
    header = path.with_suffix(".hdr")
    return header if path.suffix.lower() == ".img" and header.is_file() else None


def count_nifti_frames(path: Path) -> int:
    """Return the length of the fourth axis, from the header.

    Raises:
        UserError: the file is damaged or no NIfTI.
    """
    with explain_file_errors(path, "a NIfTI image", *NOT_NIFTI):
        return count_frames_of(read_header(path))


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
    with explain_file_errors(path, "a NIfTI image", *NOT_NIFTI):
        header = read_header(path)
        check_header(header, name)
        _check_size(header, name, limits)
        index = choose_frame(name, count_frames_of(header), frame)
        image = _load(path, header, limits, name)
        directions = read_directions(image.header, name)
        stored = _read_stored(image, index)
        # the header of a loaded image has lost slope and intercept
        raw = make_raw_image(stored, image.get_data_dtype(), image.dataobj.slope, image.dataobj.inter)
    return orient(raw, directions, spatial_dims, name)


def _choose_header_class(head: bytes) -> type[nibabel.Nifti1Header] | None:
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return nibabel.Nifti1Header
    if head[4:8] in (b"n+2\0", b"ni2\0"):
        return nibabel.Nifti2Header
    return None


def _find_header(path: Path) -> Path:
    return path.with_suffix(".hdr") if path.suffix.lower() == ".img" else path


def read_header(path: Path) -> nibabel.Nifti1Header:
    """Read the header of a file, and nothing else of it.

    Raises:
        UserError: it is no NIfTI file.
    """
    head, packed = read_head(_find_header(path))
    kind = _choose_header_class(head)
    if kind is None and is_analyze(head):
        raise UserError(
            f"{format_path(path)}: is an Analyze 7.5 image, which does not tell left from right; convert it to NIfTI, "
            "with the orientation that its source states"
        )
    if kind is None:
        what = "a gzip file that holds" if packed else "a file that is"
        raise UserError(f"{format_path(path)}: is {what} no NIfTI image; convert it to NIfTI")
    size = 348 if kind is nibabel.Nifti1Header else 540
    return kind.from_fileobj(io.BytesIO(head[:size]), check=True)


def get_shape(header: nibabel.Nifti1Header) -> tuple[int, ...]:
    """Return the lengths of three axes, and of a fourth where that is longer than 1."""
    shape = tuple(int(length) for length in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape + (1,) * (3 - len(shape))


def count_frames_of(header: nibabel.Nifti1Header) -> int:
    """Return the length of the fourth axis."""
    return get_shape(header)[3] if len(get_shape(header)) > 3 else 1


def check_header(header: nibabel.Nifti1Header, name: str) -> None:
    """Refuse what is not read, whatever its size.

    Raises:
        UserError: the file has more than four axes or values that are no numbers, or its header is damaged.
    """
    shape, dtype = get_shape(header), header.get_data_dtype()
    if len(shape) > 4:
        raise UserError(f"{name}: has {len(shape)} dimensions {shape}, expected at most 4; split it")
    if dtype.kind not in "iuf" and dtype.names is None:
        raise UserError(f"{name}: has values of type {dtype}, which is not supported; convert it")
    if header["vox_offset"] > _MAX_OFFSET:
        raise UserError(f"{name}: its voxels begin at byte {header['vox_offset']:g}; download it again")


def _check_size(header: nibabel.Nifti1Header, name: str, limits: Limits) -> None:
    shape = get_shape(header)
    limits.check(name, shape[:3], header.get_data_dtype().itemsize * (shape[3] if len(shape) > 3 else 1))


def _load(path: Path, header: nibabel.Nifti1Header, limits: Limits, name: str) -> Any:
    voxels = math.prod(get_shape(header)) * header.get_data_dtype().itemsize
    content = read_content(_find_header(path), max(0, int(header["vox_offset"])) + voxels, limits, name)
    second = _choose_header_class(content) is nibabel.Nifti2Header
    if content[344:347] == b"ni1" or content[4:7] == b"ni2":
        return (nibabel.Nifti2Pair if second else nibabel.Nifti1Pair).from_filename(_find_header(path), mmap=False)
    return (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(content)


def read_directions(header: nibabel.Nifti1Header, name: str) -> np.ndarray:
    """Return where a step along each axis (column) leads, in mm: right, anterior, superior.

    Raises:
        UserError: the file does not tell.
    """
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        raise UserError(
            f"{name}: does not tell its orientation (qform_code and sform_code are 0), and programs disagree on what "
            "holds then; set one of them"
        )
    return np.asarray(header.get_best_affine(), np.float64)[:3, :3]


def _read_stored(image: Any, index: int) -> np.ndarray:
    stored = np.asanyarray(image.dataobj.get_unscaled())
    shape = get_shape(image.header)
    return stored.reshape((*shape[:3], -1), order="F")[..., index] if stored.size else stored


def make_raw_image(stored: np.ndarray, dtype: np.dtype, slope: float, intercept: float) -> RawImage:
    """Return stored values of a file, or of a part of it, in the file's units.

    Args:
        stored: (x, y, z).
        dtype: that the file declares.
        slope: what stored values are multiplied by.
        intercept: what is added then.
    """
    kind = f"NIfTI {dtype}"
    if stored.dtype.names is not None:
        return _read_colors(stored, f"NIfTI {'RGBA' if 'A' in stored.dtype.names else 'RGB'}")
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
