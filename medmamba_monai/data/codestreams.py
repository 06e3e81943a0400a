"""The size that a compressed image tells of itself, read before a decoder makes room for it."""

from __future__ import annotations

import struct

_J2K_START = b"\xff\x4f\xff\x51"
_JP2_BOX_BYTES = 4096
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def codestream_size(content: bytes) -> tuple[int, int] | None:
    """Columns and rows of a JPEG, JPEG-LS or JPEG 2000 image; None where it is none of these or too short to tell."""
    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg_size(content)
        start = content.find(_J2K_START, 0, _JP2_BOX_BYTES)
        return None if start < 0 else _j2k_size(content, start)
    except (struct.error, IndexError):
        return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        length, _, rows, columns = struct.unpack_from(">HBHH", content, place + 2)
        if marker in _FRAME_MARKERS:
            return columns, rows
        place += 2 + length
    return None


def _j2k_size(content: bytes, start: int) -> tuple[int, int]:
    right, bottom, left, top = struct.unpack_from(">IIII", content, start + 8)
    return right - left, bottom - top
