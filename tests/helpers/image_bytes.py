"""Picture files byte by byte, for what Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

SHORT, LONG = 3, 4


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    bits: int, color_type: int, row: bytes, size: tuple[int, int] = (2, 2), extra: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG all of whose rows are the same bytes; of an interlaced one all passes."""
    header = struct.pack(">IIBBBBB", *size, bits, color_type, 0, 0, interlace)
    pixels = zlib.compress((b"\0" + row) * size[1])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(
    pixels: np.ndarray, *, photometric: int = 1, order: str = "<", deflate: bool = False, bits: int = 0, **tags: int
) -> bytes:
    """A TIFF of one strip: (rows, columns) or (rows, columns, samples) in the type of the array."""
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    content = zlib.compress(content) if deflate else content
    fields: dict[int, tuple[int, Sequence[int]]] = {
        256: (SHORT, [pixels.shape[1]]),
        257: (SHORT, [pixels.shape[0]]),
        258: (SHORT, [bits or pixels.dtype.itemsize * 8] * samples),
        259: (SHORT, [8 if deflate else 1]),
        262: (SHORT, [photometric]),
        273: (LONG, [0]),
        277: (SHORT, [samples]),
        278: (SHORT, [pixels.shape[0]]),
        279: (LONG, [len(content)]),
        339: (SHORT, [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * samples),
    }
    fields |= {{"planar": 284, "extra": 338, "columns": 256}[tag]: (SHORT, [value]) for tag, value in tags.items()}
    return _directory(dict(sorted(fields.items())), order) + content


def _directory(fields: dict[int, tuple[int, Sequence[int]]], order: str) -> bytes:
    start = 8 + 2 + 12 * len(fields) + 4
    packed = {
        tag: struct.pack(order + ("H" if kind == SHORT else "I") * len(v), *v) for tag, (kind, v) in fields.items()
    }
    outside, places = b"", {}
    for tag, value in packed.items():
        if len(value) > 4:
            places[tag] = start + len(outside)
            outside += value
    packed[273] = struct.pack(order + "I", start + len(outside))
    entries = b""
    for tag, (kind, values) in fields.items():
        value = struct.pack(order + "I", places[tag]) if tag in places else packed[tag].ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + value
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    return head + entries + bytes(4) + outside


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """What Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def big(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder(">")).tobytes()


def one_color(mode: str, color: object, kind: str, **options: object) -> bytes:
    return saved(Image.new(mode, (8, 8), color), kind, **options)
