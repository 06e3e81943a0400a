"""File names: as people can read them, of texts that people chose, and of single frames."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass

LONGEST_NAME = 100
"""Bytes of a file name that is made of a text; file systems take 255, and endings are added."""

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")
_UNSAFE = re.compile(r"[^\w ()+,=.-]+|^[.\s-]+|[.\s]+$")
_REFERENCE = re.compile(r"(?P<file>.+)#frame\[(?P<frame>\d+)\]", re.DOTALL)


def format_path(path: str | os.PathLike[str]) -> str:
    r"""Return a path that any terminal and log can print.

    Bytes that are not UTF-8, and characters that are not printable, become escapes.

    Example:
        >>> format_path("scan\udcff.png")
        'scan\\xff.png'
    """
    text = os.fspath(path)
    try:
        decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        decoded = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in decoded)


def make_file_name(name: object) -> str:
    """Return the name of one file or folder for a text, such as an experiment's name, a class or a title.

    A text that is such a name already stays as it is. Of any other, what could lead to another folder or what a file
    system does not take becomes ``_``, and a digest of the text is added, so that no two texts get the same name.

    Args:
        name: the text; what a command line makes of ``2024`` and ``a,b``, a number and a tuple, stands for it.

    Example:
        >>> make_file_name("Chest X-ray (first)")
        'Chest X-ray (first)'
        >>> make_file_name("../../x")
        '__.._x-9cdf6a50'
    """
    text = ",".join(map(str, name)) if isinstance(name, (list, tuple)) else str(name)
    plain = unicodedata.normalize("NFC", text)
    safe = _UNSAFE.sub("_", plain)
    if safe == text and len(safe.encode()) <= LONGEST_NAME and not _RESERVED.match(safe) and safe:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = safe.encode("utf-8", "replace")[: LONGEST_NAME - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept or '_'}-{digest}"


@dataclass(frozen=True)
class FrameReference:
    """One frame of a file, written ``path#frame[3]``; the first frame is 0."""

    file: str
    frame: int

    @classmethod
    def parse(cls, text: str) -> FrameReference | None:
        """Read the written form; None if it is something else."""
        match = _REFERENCE.fullmatch(text)
        return cls(match["file"], int(match["frame"])) if match else None

    def __str__(self) -> str:
        return f"{self.file}#frame[{self.frame}]"
