"""File names as people can read them, and names of single frames."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

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
