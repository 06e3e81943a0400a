"""Sizes that a compressed image tells of itself, read before a decoder makes room for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_J2K_START = b"\xff\x4f\xff\x51"
_JP2_BOX_BYTES = 4096
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_ADOBE, _ADOBE_BYTES = 0xEE, 14  # decoders take a shorter one for a comment
_END = b"\xff\xd9"


@dataclass(frozen=True)
class Codestream:
    """Size of a compressed image.

    Attributes:
        columns: pixels of a row.
        rows: number of rows.
        samples: values of a pixel.
    """

    columns: int
    rows: int
    samples: int

    def __str__(self) -> str:
        return f"{self.columns} x {self.rows} with {self.samples} values a pixel"


def read_codestream(content: bytes) -> Codestream | None:
    """Read the size of a JPEG, JPEG-LS or JPEG 2000 image; None where it is none of these, or damaged so far.

    Only what is cheap to see is checked, for decoders of JPEG end the process over some damages and overlook others.
    """
    try:
        if content.startswith(b"\xff\xd8"):
            return _read_jpeg(content)
        start = content.find(_J2K_START, 0, _JP2_BOX_BYTES)
        return None if start < 0 else _read_jpeg_2000(content, start)
    except (struct.error, IndexError):
        return None


def _read_jpeg(content: bytes) -> Codestream | None:
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        length, _, rows, columns, samples = struct.unpack_from(">HBHHB", content, place + 2)
        if marker in _FRAME_MARKERS:
            return Codestream(columns, rows, samples) if content.find(_END, place) > 0 else None
        marked = marker == _ADOBE and length >= _ADOBE_BYTES and content[place + 4 : place + 9] == b"Adobe"
        if marked and content[place + 15] > 2:
            return None
        place += 2 + length
    return None


def _read_jpeg_2000(content: bytes, start: int) -> Codestream:
    right, bottom, left, top = struct.unpack_from(">IIII", content, start + 8)
    (samples,) = struct.unpack_from(">H", content, start + 40)
    return Codestream(right - left, bottom - top, samples)
