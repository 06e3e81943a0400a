"""Facts of a DICOM header about the pixels of its file."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.file_errors import BAD_CONTENT

_CODE = re.compile(r"[A-Z_]+[0-9]*(_[0-9]+)?|PALETTE COLOR")
_BROKEN: tuple[type[Exception], ...] = (*BAD_CONTENT, BytesLengthException)


class BrokenAttributeError(Exception):
    """An attribute of a header is missing or cannot be used; the message tells its keyword and never its value."""

    def __init__(self, keyword: str, problem: str) -> None:
        super().__init__(f"its attribute {keyword} {problem}")


@contextlib.contextmanager
def blame_attribute(keyword: str) -> Iterator[None]:
    """Turn whatever the block raises over damaged content into a `BrokenAttributeError`."""
    try:
        yield
    except (UserError, BrokenAttributeError):
        raise
    except _BROKEN as error:
        raise BrokenAttributeError(keyword, "has no meaning") from error


@dataclass(frozen=True)
class PixelKind:
    """What the pixels of a file are; its text is for people, such as "DICOM CT, 16-bit signed, MONOCHROME2".

    Attributes:
        modality: DICOM's code.
        bits: of a stored value.
        signed: whether stored values may be negative.
        photometric: DICOM's code of the colors.
    """

    modality: str
    bits: int
    signed: bool
    photometric: str

    def __str__(self) -> str:
        sign = "signed" if self.signed else "unsigned"
        return f"DICOM {self.modality}, {self.bits}-bit {sign}, {self.photometric}"


def read_pixel_kind(header: Dataset) -> PixelKind:
    """Read what the pixels of a file are."""
    return PixelKind(
        read_code(header, "Modality"),
        read_integer(header, "BitsStored", 0) or read_integer(header, "BitsAllocated"),
        is_signed(header),
        read_code(header, "PhotometricInterpretation"),
    )


def read_code(header: Dataset, keyword: str, default: str = "") -> str:
    """Read a coded value; of a damaged file it could be any text, which is not shown."""
    with blame_attribute(keyword):
        value = str(header.get(keyword) or default)
    return value if _CODE.fullmatch(value) else "of unknown kind"


def read_integer(header: Dataset, keyword: str, default: int | None = None) -> int:
    """Read one whole number.

    Args:
        header: where it stands.
        keyword: its attribute.
        default: the number where the attribute is missing or empty; None where it must be there.

    Raises:
        BrokenAttributeError: there is none, or something else.
    """
    return int(_read_number(header, keyword, default))


def read_decimal(header: Dataset, keyword: str, default: float | None = None) -> float:
    """Read one finite number; see `read_integer`.

    Raises:
        BrokenAttributeError: there is none, or something else.
    """
    return float(_read_number(header, keyword, default))


def _read_number(header: Dataset, keyword: str, default: float | None) -> float:
    with blame_attribute(keyword):
        value: Any = header.get(keyword)
        if value is None or value == "":
            value = default
        if value is None:
            raise BrokenAttributeError(keyword, "is missing")
        if not isinstance(value, (int, float)) and not hasattr(value, "as_tuple"):  # bytes, text or several numbers
            raise BrokenAttributeError(keyword, "is not one number")
        if not math.isfinite(value):
            raise BrokenAttributeError(keyword, "is not finite")
        return value


def is_signed(header: Dataset) -> bool:
    """Return whether stored values may be negative; False where the header does not say."""
    return read_integer(header, "PixelRepresentation", 0) == 1


def count_header_frames(header: Dataset) -> int:
    """Return the number of frames that a header tells, at least 1."""
    frames = read_integer(header, "NumberOfFrames", 1)
    if frames < 0:
        raise BrokenAttributeError("NumberOfFrames", "is negative")
    return frames or 1


def read_items(header: Dataset, keyword: str) -> Sequence:
    """Return the items of a sequence; none where it is missing."""
    with blame_attribute(keyword):
        found = header.get(keyword)
    if found is not None and not isinstance(found, Sequence):
        raise BrokenAttributeError(keyword, "is no sequence")
    return found or Sequence()


def get_functional_group(header: Dataset, index: int, sequence: str) -> Dataset | None:
    """Return an item of the functional groups of an enhanced multi-frame file: the frame's own, else the shared one."""
    own = read_items(header, "PerFrameFunctionalGroupsSequence")
    shared = read_items(header, "SharedFunctionalGroupsSequence")
    for group in [*own[index : index + 1], *shared[:1]]:
        if items := read_items(group, sequence):
            return items[0]
    return None


def read_byte_order(header: Dataset) -> str:
    """Return NumPy's sign of the byte order of a file."""
    return "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
