"""What a file is, by its first bytes and never by its name; also what is not read, for messages."""

from __future__ import annotations

import os
import re
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.dicom.recognize import DICOM_SUFFIXES, is_dicom
from medmamba_monai.images.file_errors import check_regular_file
from medmamba_monai.images.gzip_files import HEAD_BYTES, unpack_head
from medmamba_monai.images.meta_image import META_IMAGE_SUFFIXES, is_meta_image
from medmamba_monai.images.mgh import MGH_SUFFIXES, is_mgh
from medmamba_monai.images.nifti import NIFTI_SUFFIXES, find_pair_header, is_analyze, is_nifti
from medmamba_monai.images.nrrd import NRRD_SUFFIXES, is_nrrd
from medmamba_monai.images.pillow.read import PICTURE_SUFFIXES, is_picture
from medmamba_monai.images.raw_image import FileFormat

READABLE_SUFFIXES = (
    *(*PICTURE_SUFFIXES, *DICOM_SUFFIXES, *NIFTI_SUFFIXES),
    *(*MGH_SUFFIXES, *NRRD_SUFFIXES, *META_IMAGE_SUFFIXES),
)
VOLUME_FORMATS: tuple[FileFormat, ...] = ("NIfTI", "MGH", "NRRD", "MetaImage")
"""Formats of which one file is a volume, and of which a slice is a volume with an axis of length 1."""

_READ = "PNG, JPEG, BMP, TIFF, GIF, WebP, DICOM, NIfTI, MGH, NRRD and MetaImage"
_NO_SUFFIX = re.compile(r"[^.]+|[\d.]+")
_WEAK = (b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Starts that text or the raw images of cameras may have, too."""
_OTHERS = {
    b"PK\3\4": "a zip archive; unpack it, or name an array as file.npz#key[0]",
    b"%PDF": "a PDF document; export its images",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture, which is not supported; convert it to PNG",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture, which is not supported; convert it to PNG",
    b"\0\0\0\x0cJXL": "a JPEG XL picture, which is not supported; convert it to PNG",
    b"\x89HDF": "an HDF5 file (also MINC 2 and MATLAB 7.3), which is not supported; convert it",
    b"CDF": "a NetCDF file (also MINC 1), which is not supported; convert it to NIfTI",
    b"\x93NUMPY": "a NumPy array, which is not read alone; save arrays as npz and name one as file.npz#key[0]",
    b"MATLAB": "a MATLAB file, which is not supported; convert it",
    b"8BPS": "a Photoshop picture, which is not supported; convert it to PNG",
    b"ENVI": "the header of an ENVI image, which is not supported; convert it to TIFF",
    b"#?RADIANCE": "a Radiance picture, which is not supported; convert it to PNG",
    b"ZISRAWFILE": "a CZI file of Zeiss, which is not supported; convert it to TIFF",
    b"Rar!": "an archive; unpack it",
    b"7z\xbc\xaf": "an archive; unpack it",
}


def find_format(path: Path) -> FileFormat:
    """Return which reader reads a file.

    Raises:
        UserError: it is missing, empty, no file to read, or of a kind that is not supported.
    """
    name, head = format_path(path), read_start(path)
    if found := _recognize(head):
        return found
    if find_pair_header(path) is not None:
        return "NIfTI"
    unpacked = unpack_head(head)
    if is_analyze(unpacked):
        return "NIfTI"  # whose reader says what to do with it
    if not head:
        raise UserError(f"{name}: is empty; download it again")
    if unpacked is not head:
        raise UserError(
            f"{name}: is a gzip file that holds no NIfTI image, or is damaged; download it again or convert it to NIfTI"
        )
    if what := _describe_other(head):
        raise UserError(f"{name}: is {what}")
    raise UserError(f"{name}: is damaged or no {_READ.replace(' and ', ' or ')} file; download it again or convert it")


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one to read: by its suffix, or, with another or without one, by its content.

    TIFF and BMP need their suffix, or none: the raw images of cameras and some texts begin as these do.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(READABLE_SUFFIXES):
        return path.is_file()
    if name == "dicomdir" or not path.is_file():
        return False
    try:
        head = read_start(path)
    except UserError:
        return False
    found = _recognize(head)
    weak = found == "picture" and head.startswith(_WEAK) and _NO_SUFFIX.fullmatch(name) is None
    return found is not None and not weak


def describe_unread(path: Path) -> str:
    """Return what a file is that is no image to read, in a few words; empty where it is nothing known."""
    try:
        return _describe_other(read_start(path)).partition(",")[0].partition(";")[0]
    except UserError:
        return ""


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        UserError: it is missing, may not be read, or is a folder, a pipe or a device.
    """
    check_regular_file(path)
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except PermissionError as error:
        raise UserError(f"{format_path(path)}: may not be read; change its permissions") from error
    except OSError as error:
        raise UserError(f"{format_path(path)}: cannot be read ({error})") from error


def _recognize(head: bytes) -> FileFormat | None:
    if is_dicom(head):  # first: a DICOM file may begin with the bytes of a TIFF file
        return "DICOM"
    if is_picture(head):
        return "picture"
    unpacked = unpack_head(head)
    if is_nifti(unpacked):
        return "NIfTI"
    if is_mgh(unpacked):
        return "MGH"
    if is_nrrd(head):
        return "NRRD"
    return "MetaImage" if is_meta_image(head) else None


def _describe_other(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "a HEIF or AVIF picture or a video, which is not supported; convert it to PNG"
    return next((what for signature, what in _OTHERS.items() if head.startswith(signature)), "")
