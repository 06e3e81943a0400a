"""NRRD (.nrrd, .nhdr): headers through pynrrd, values within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nrrd import NRRDError, read_header

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.images.file_errors import explain_file_errors
from medmamba_monai.images.orientation import LPS_TO_RAS
from medmamba_monai.images.raw_data import Packing, RawData, find_beside
from medmamba_monai.images.raw_image import Frame, Limits, RawImage, check_frame_count
from medmamba_monai.images.text_volumes import TextHeader, read_text_volume

NRRD_SUFFIXES = (".nrrd", ".nhdr")

_MAGIC = b"NRRD000"
_TYPES: dict[str, tuple[str, ...]] = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
"""The format's names of each type."""
_ENCODINGS: dict[str, Packing] = {
    "raw": "raw",
    **dict.fromkeys(("gz", "gzip"), "zlib"),
    **dict.fromkeys(("bz2", "bzip2"), "bzip2"),
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
}
_TO_RAS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), np.eye(3)),
    **dict.fromkeys(("left-anterior-superior", "las"), np.diag([-1.0, 1.0, 1.0])),
    **dict.fromkeys(("left-posterior-superior", "lps"), LPS_TO_RAS),
}
_SPATIAL_KINDS = ("domain", "space")
_COLORS = ("rgb-color", "3-color", "rgba-color", "4-color", "vector", "3-vector", "color")
_WITH_ALPHA = ("rgba-color",)


def is_nrrd(head: bytes) -> bool:
    """Return whether a file that starts so is NRRD."""
    return head.startswith(_MAGIC)


def count_nrrd_frames(path: Path) -> int:
    """Return the length of an axis that is neither space nor color, from the header.

    Raises:
        UserError: the file is damaged.
    """
    return check_frame_count(format_path(path), read_nrrd_header(path).num_frames)


def read_nrrd(path: Path, spatial_dims: int, frame: Frame, limits: Limits) -> RawImage:
    """Read a volume, a slice, or a flat image.

    Raises:
        UserError: it is damaged, too large, of unknown orientation, or has other dimensions.
    """
    with explain_file_errors(path, "an NRRD file", NRRDError):
        return read_text_volume(read_nrrd_header(path), spatial_dims, frame, limits, format_path(path))


def read_nrrd_header(path: Path) -> TextHeader:
    """Read a header.

    Raises:
        UserError: it is damaged, or of a kind that is not supported.
    """
    name = format_path(path)
    with explain_file_errors(path, "an NRRD file", NRRDError, StopIteration):
        with path.open("rb") as file:
            fields: Any = read_header(file)
            end = file.tell()
        shape = tuple(int(length) for length in fields["sizes"])
        if len(shape) != fields["dimension"]:
            raise ValueError(f"dimension {fields['dimension']}, sizes {shape}")
        kinds = [str(kind).lower() for kind in fields.get("kinds", ["domain"] * len(shape))]
        vectors = _read_vectors(fields, len(shape))
        spatial, channels, frames = _find_axes(shape, kinds, vectors, name)
        return TextHeader(
            format="NRRD",
            data=_find_data(path, fields, end, shape, name),
            spatial=spatial,
            channels=channels,
            frames=frames,
            alpha=channels is not None and kinds[channels] in _WITH_ALPHA,
            directions=_make_directions(fields, [vectors[axis] for axis in spatial] if vectors else [], name),
        )


def _read_vectors(fields: Any, count: int) -> list[np.ndarray | None]:
    """Return the direction of each axis, None for one that is not of space; nothing where none are told."""
    told = fields.get("space directions")
    if told is None:
        return []
    if len(told) != count:
        raise ValueError(f"{len(told)} space directions for {count} axes")
    return [None if row is None or not np.isfinite(row).all() else np.asarray(row, np.float64) for row in told]


def _find_axes(
    shape: tuple[int, ...], kinds: list[str], vectors: list[np.ndarray | None], name: str
) -> tuple[tuple[int, ...], int | None, int | None]:
    """Return the axes of space, of colors and of frames."""
    flags = [vector is not None for vector in vectors] or [kind in _SPATIAL_KINDS for kind in kinds]
    spatial = tuple(axis for axis, is_spatial in enumerate(flags) if is_spatial)
    colors = [axis for axis, kind in enumerate(kinds) if not flags[axis] and kind in _COLORS]
    others = [axis for axis in range(len(shape)) if not flags[axis] and axis not in colors]
    if len(spatial) not in (2, 3) or len(colors) > 1 or len(others) > 1 or len(kinds) != len(shape):
        raise UserError(
            f"{name}: has the axes {', '.join(kinds)} of lengths {shape}; expected are 2 or 3 of space, and at most "
            "one of colors and one of frames"
        )
    return spatial, colors[0] if colors else None, others[0] if others else None


def _make_directions(fields: Any, vectors: list[np.ndarray | None], name: str) -> np.ndarray | None:
    space = str(fields.get("space", "")).lower()
    known = _TO_RAS.get(space)
    if known is None or not vectors:
        _refuse_turned(vectors, name)
        return None
    columns = [vector for vector in vectors if vector is not None and vector.shape == (3,)]
    if len(columns) != len(vectors):
        raise ValueError("a space direction has no 3 numbers")
    if len(columns) == 2:
        columns.append(np.cross(columns[0], columns[1]))
    return known @ np.stack(columns, axis=1)


def _refuse_turned(vectors: list[np.ndarray | None], name: str) -> None:
    """Refuse a flat image, of no anatomical space, whose axes do not lead right and down."""
    flat = [vector for vector in vectors if vector is not None]
    straight = all(vector[axis] > 0 and not np.delete(vector, axis).any() for axis, vector in enumerate(flat))
    if len(flat) == 2 and not straight:
        raise UserError(f"{name}: turns a flat image by its space directions; write it unturned")


def _find_data(path: Path, fields: Any, end: int, shape: tuple[int, ...], name: str) -> RawData:
    named = fields.get("data file", fields.get("datafile"))
    if named is not None and (named.split()[0] == "LIST" or "%" in named):
        raise UserError(f"{name}: has its slices in several files, which is not supported; write it as one file")
    kind = next((kind for kind, names in _TYPES.items() if fields["type"].lower() in names), None)
    packing = _ENCODINGS.get(fields["encoding"].lower())
    if kind is None or packing is None:
        raise UserError(
            f"{name}: has values of type {fields['type']!r}, encoding {fields['encoding']!r}, which is not supported"
        )
    if kind[1] != "1" and packing != "text" and "endian" not in fields:
        raise UserError(f"{name}: is damaged: its header has no endian; download it again")
    order = ">" if fields.get("endian", "little") == "big" else "<"
    skip = int(fields.get("byte skip", fields.get("byteskip", 0)))
    at_end = skip == -1 and packing == "raw"
    if skip < 0 and not at_end:
        raise ValueError(f"byte skip {skip} with encoding {fields['encoding']}")
    return RawData(
        path=path if named is None else find_beside(path, named),
        start=-1 if at_end else end if named is None else 0,
        shape=shape,
        dtype=np.dtype(order + kind),
        packing=packing,
        skip=0 if at_end else skip,
        lines=int(fields.get("line skip", fields.get("lineskip", 0))),
    )
