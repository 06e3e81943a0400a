"""How many frames a picture has, counted only as far as they are read.

Pillow counts by going to each frame, which for a GIF of a million frames takes most of a minute.
"""

from __future__ import annotations

import struct
from typing import IO

from medmamba_monai.images.raw_image import MAX_FRAMES

_GIF_HEADER = struct.Struct("<10xB2x")  # signature and size; then the flags of the palette
_GIF_FRAME = struct.Struct("<8xB")
_EXTENSION, _FRAME, _END = b"!", b",", b";"
_HAS_PALETTE = 0x80
_BIG_TIFF = 43


def count_listed_frames(stream: IO[bytes]) -> int | None:
    """Return the frames of a GIF or TIFF file, which only going through it tells; None for other files.

    Of more than are read it is one more than that. The stream stays where it is.
    """
    place = stream.tell()
    try:
        stream.seek(0)
        head = stream.read(4)
        if head.startswith(b"GIF8"):
            return _count_gif(stream)
        return _count_tiff(stream) if head[:2] in (b"II", b"MM") else None
    finally:
        stream.seek(place)


def _count_gif(stream: IO[bytes]) -> int:
    stream.seek(0)
    (flags,) = _GIF_HEADER.unpack(stream.read(_GIF_HEADER.size))
    _skip_palette(stream, flags)
    frames = 0
    while frames <= MAX_FRAMES and (kind := stream.read(1)) not in (b"", _END):
        if kind == _EXTENSION:
            stream.read(1)
            _skip_blocks(stream)
        elif kind == _FRAME:
            content = stream.read(_GIF_FRAME.size)
            if len(content) < _GIF_FRAME.size:
                break
            frames += 1
            _skip_palette(stream, *_GIF_FRAME.unpack(content))
            stream.read(1)
            _skip_blocks(stream)
    return max(frames, 1)


def _skip_palette(stream: IO[bytes], flags: int) -> None:
    if flags & _HAS_PALETTE:
        stream.seek(3 * 2 ** ((flags & 7) + 1), 1)


def _skip_blocks(stream: IO[bytes]) -> None:
    while (size := stream.read(1)) not in (b"", b"\0"):
        stream.seek(size[0], 1)


def _count_tiff(stream: IO[bytes]) -> int:
    """Count the pages; a chain that comes back to a page ends there, as for Pillow."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4]) == (_BIG_TIFF,)
    count, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (place,) = struct.unpack_from(order + link, head, 8 if big else 4)
    seen: set[int] = set()
    while place and place not in seen and len(seen) <= MAX_FRAMES:
        seen.add(place)
        stream.seek(place)
        (entries,) = struct.unpack(order + count, stream.read(struct.calcsize(order + count)))
        stream.seek(entries * entry, 1)
        content = stream.read(struct.calcsize(order + link))
        (place,) = struct.unpack(order + link, content) if len(content) == struct.calcsize(order + link) else (0,)
    return max(len(seen), 1)
