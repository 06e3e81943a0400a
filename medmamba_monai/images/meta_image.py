"""MetaImage (.mha, .mhd) headers, as ITK reads them.

Own code, for the only libraries that read this format bring all of ITK along, more than 50 MB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.orientation import LPS_TO_RAS
from medmamba_monai.images.raw_data import Packing, RawData, find_beside
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, check_frame_count
from medmamba_monai.images.text_volumes import TextHeader, read_text_volume

META_IMAGE_SUFFIXES = (".mha", ".mhd")

_STARTS = (b"ObjectType", b"NDims", b"Comment")
_MAX_LINES = 1000
_MAX_LINE = 2**16
_TYPES = {
    "CHAR": "i1",
    "UCHAR": "u1",
    "SHORT": "i2",
    "USHORT": "u2",
    "INT": "i4",
    "UINT": "u4",
    "LONG": "i4",
    "ULONG": "u4",
    "LONG_LONG": "i8",
    "ULONG_LONG": "u8",
    "FLOAT": "f4",
    "DOUBLE": "f8",
}
"""The format's names of types, which stand between ``MET_`` and an optional ``_ARRAY``; LONG has 4 bytes in files."""


def is_meta_image(head: bytes) -> bool:
    """Return whether a file that starts so is a MetaImage."""
    return head.startswith(_STARTS) and b"=" in head.partition(b"\n")[0] and b"Dim" in head


def count_meta_image_frames(path: Path) -> int:
    """Return the length of the fourth axis, from the header.

    Raises:
        UserError: the file is damaged.
    """
    return check_frame_count(format_path(path), read_meta_header(path).num_frames)


def read_meta_image(path: Path, spatial_dims: int, frame: Frame, limits: Limits) -> RawImage:
    """Read a volume, a slice, or a flat image.

    Raises:
        UserError: it is damaged, too large, or has other dimensions.
    """
    with explain_file_errors(path, "a MetaImage"):
        return read_text_volume(read_meta_header(path), spatial_dims, frame, limits, format_path(path))


def read_meta_header(path: Path) -> TextHeader:
    """Read a header.

    Raises:
        UserError: it is damaged, or of a kind that is not supported.
    """
    name = format_path(path)
    with explain_file_errors(path, "a MetaImage"):
        fields, end = _read_fields(path, name)
        dims = int(fields["NDims"])
        if dims not in (2, 3, 4):
            raise UserError(f"{name}: has {dims} dimensions, expected 2 to 4; split it")
        channels = int(fields.get("ElementNumberOfChannels", 1))
        lengths = tuple(int(word) for word in fields["DimSize"].split())
        if len(lengths) != dims or channels < 1:
            raise ValueError(f"NDims {dims}, DimSize {fields['DimSize']}, ElementNumberOfChannels {channels}")
        shape = lengths if channels == 1 else (channels, *lengths)
        first = 0 if channels == 1 else 1
        return TextHeader(
            format="MetaImage",
            data=_find_data(path, fields, end, shape, name),
            spatial=tuple(range(first, first + min(dims, 3))),
            channels=None if channels == 1 else 0,
            frames=first + 3 if dims == 4 else None,
            directions=_read_directions(fields, dims, name),
        )


def _read_fields(path: Path, name: str) -> tuple[dict[str, str], int]:
    """Return the lines of a header, and where it ends."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(_MAX_LINES):
            line = file.readline(_MAX_LINE).decode("latin-1")
            key, sign, value = line.partition("=")
            if not sign:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return fields, file.tell()
    raise UserError(f"{name}: is damaged: its header has no ElementDataFile; download it again")


def _find_data(path: Path, fields: dict[str, str], end: int, shape: tuple[int, ...], name: str) -> RawData:
    named = fields["ElementDataFile"]
    if named == "LIST" or "%" in named:
        raise UserError(f"{name}: has its slices in several files, which is not supported; write it as one file")
    if float(fields.get("ElementToIntensityFunctionSlope", 1)) != 1:
        raise UserError(f"{name}: has an ElementToIntensityFunctionSlope, which programs ignore or apply; remove it")
    kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _TYPES:
        raise UserError(f"{name}: has values of ElementType {fields['ElementType']!r}, which is not supported")
    high_first = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
    local = named in ("LOCAL", "Local", "local")
    packing: Packing = "zlib" if _is_true(fields, "CompressedData") else "raw"
    if not _is_true(fields, "BinaryData", "True"):
        packing = "text"
    start = int(fields.get("HeaderSize", 0))
    return RawData(
        path=path if local else find_beside(path, named),
        start=start or (end if local else 0),
        shape=shape,
        dtype=np.dtype((">" if high_first else "<") + _TYPES[kind]),
        packing=packing,
    )


def _is_true(fields: dict[str, str], key: str, default: str = "False") -> bool:
    return fields.get(key, default)[:1].upper() in ("T", "1")


def _read_directions(fields: dict[str, str], dims: int, name: str) -> np.ndarray | None:
    """Return where the axes lead: each row of the matrix is an axis, in LPS; without one, the axes of LPS."""
    words = next((fields[key] for key in ("TransformMatrix", "Rotation", "Orientation") if key in fields), "")
    matrix = np.array(words.split(), np.float64).reshape(dims, dims) if words else np.eye(dims)
    if dims == 2:
        if not np.allclose(matrix, np.eye(2)):
            raise UserError(f"{name}: turns a flat image by its TransformMatrix; write it unturned")
        return None
    return LPS_TO_RAS @ matrix[:3, :3].T
