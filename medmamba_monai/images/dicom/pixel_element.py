"""Where the pixels of a DICOM file stand, told by the file and not by its transfer syntax.

pydicom derives from the syntax whether a length of 8 or 12 bytes precedes the pixels; files whose header is written
otherwise than their syntax says would be read some pixels aside.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
"""Written before a length of 4 bytes; without a VR the length, which is even, stands in their place."""
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class PixelElement:
    """The element of a file that holds its pixels.

    Attributes:
        keyword: PixelData, FloatPixelData or DoubleFloatPixelData.
        vr: its VR; empty where the file is written without VRs.
        start: where its value begins.
        length: bytes of its value that are there; None where it is compressed, in items of their own length.
    """

    keyword: str
    vr: str
    start: int
    length: int | None


def find_pixel_element(stream: BinaryIO, little_endian: bool) -> PixelElement | None:
    """Return the element that begins where a stream stands; None where it holds no pixels."""
    order, at = "<" if little_endian else ">", stream.tell()
    head = stream.read(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    keyword = _KEYWORDS.get(group << 16 | element)
    if keyword is None:
        return None
    explicit = head[4:6] in _LONG_VRS and len(head) == 12
    (length,) = struct.unpack(order + "I", head[8:12] if explicit else head[4:8])
    start, end = at + (12 if explicit else 8), stream.seek(0, io.SEEK_END)
    told = None if length == _UNDEFINED else max(0, min(length, end - start))
    return PixelElement(keyword, head[4:6].decode() if explicit else "", start, told)
