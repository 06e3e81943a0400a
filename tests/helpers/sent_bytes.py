"""Words in bytes that were sent: as they are, in other encodings, and inside of what was compressed."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Collection, Iterator

_STREAMS = {b"\x1f\x8b\x08": 31, b"\x78[\x01\x5e\x9c\xda]": 15}
"""How gzip and zlib begin, and how zlib is told of them."""
_ZIPPED = b"PK\x03\x04"


def find_words(sent: bytes, words: Collection[str | bytes]) -> list[str | bytes]:
    """Return those of some words that were sent in any form; bytes are looked for as they are.

    Args:
        sent: all that was sent.
        words: to look for.
    """
    texts = [sent, *decompress(sent)]
    forms = {word: list_forms(word) if isinstance(word, str) else [word] for word in words}
    return [word for word in words if any(form in text for form in forms[word] for text in texts)]


def list_forms(word: str) -> list[bytes]:
    """Return a word in the encodings of text, in hexadecimal digits, and in base64 wherever it stands there."""
    plain = word.encode()
    coded = [word.encode(name) for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")]
    digits = [plain.hex().encode(), plain.hex().upper().encode()]
    return [plain, *coded, *digits, *_list_base64(plain)]


def _list_base64(plain: bytes) -> Iterator[bytes]:
    """What base64 makes of bytes with none, one or two before them, without the signs that depend on neighbors."""
    for before in range(3):
        signs = base64.b64encode(bytes(before) + plain)
        begin, end = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
        yield signs[begin:end]
        yield signs[begin:end].replace(b"+", b"-").replace(b"/", b"_")


def decompress(sent: bytes) -> Iterator[bytes]:
    """Yield what was compressed by gzip, zlib or as a file of a zip, as far as it can be read."""
    for begin, bits in _find_streams(sent):
        reader, found = zlib.decompressobj(bits), bytearray()
        try:
            for place in range(begin, len(sent), 4096):
                found += reader.decompress(sent[place : place + 4096])
                if reader.eof:
                    break
        except zlib.error:  # bytes that only look like the begin of one, or that something else cut apart
            pass
        if found:
            yield bytes(found)


def _find_streams(sent: bytes) -> Iterator[tuple[int, int]]:
    for begin, bits in _STREAMS.items():
        yield from ((found.start(), bits) for found in re.finditer(begin, sent, re.DOTALL))
    for found in re.finditer(_ZIPPED, sent):
        name, extra = (
            int.from_bytes(sent[found.start() + place : found.start() + place + 2], "little") for place in (26, 28)
        )
        yield found.start() + 30 + name + extra, -15
