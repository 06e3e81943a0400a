"""Facts of a DICOM header about the pixels of its file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

_CODE = re.compile(r"[A-Z_]+[0-9]*(_[0-9]+)?|PALETTE COLOR")


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
        header.get("BitsStored") or header.BitsAllocated,
        header.get("PixelRepresentation") == 1,
        read_code(header, "PhotometricInterpretation"),
    )


def read_code(header: Dataset, keyword: str, default: str = "") -> str:
    """Read a coded value; of a damaged file it could be any text, which is not shown."""
    value = str(header.get(keyword) or default)
    return value if _CODE.fullmatch(value) else "of unknown kind"


def count_header_frames(header: Dataset) -> int:
    """Return the number of frames that a header tells."""
    return int(header.get("NumberOfFrames") or 1)


def get_functional_group(header: Dataset, index: int, sequence: str) -> Dataset | None:
    """Return an item of the functional groups of an enhanced multi-frame file: the frame's own, else the shared one."""
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for group in [*own[index : index + 1], *shared[:1]]:
        items = group.get(sequence)
        if items:
            return items[0]
    return None


def read_byte_order(header: Dataset) -> str:
    """Return NumPy's sign of the byte order of a file."""
    return "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
