"""Files that may be gzip as a whole: their first bytes, and their content within a bound."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from medmamba_monai.images.raw_image import Limits

HEAD_BYTES = 540
"""How much of a file's start is enough to tell what it is, and to read the header of a NIfTI file."""

_GZIP = b"\x1f\x8b"


def unpack_head(head: bytes) -> bytes:
    """Return what a file's first bytes unpack to, as far as they go; they themselves where they are not gzip."""
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def read_head(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, unpacked, and whether it is gzip."""
    with path.open("rb") as file:
        stream, packed = unpack(file)
        return stream.read(HEAD_BYTES), packed


def read_content(path: Path, told: int, limits: Limits, name: str) -> bytes:
    """Return all of a file, unpacked, to its end, so that gzip's checksum is compared.

    Args:
        path: the file.
        told: bytes that its header tells of.
        limits: what it may expand to.
        name: what it is called in messages.

    Raises:
        UserError: it holds many more.
    """
    bound = limits.bound(told)
    with path.open("rb") as file:
        content = unpack(file)[0].read(bound + 1)
    if len(content) > bound:
        raise limits.explain_excess(name, bound)
    return content


def unpack(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """Return what reads an open file unpacked, and whether it is gzip."""
    packed = file.read(2) == _GZIP
    file.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file, packed
