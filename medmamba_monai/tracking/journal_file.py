"""The file of a journal: one JSON object a line, which heals itself after a crash, a full disk or damage."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIELDS: Mapping[str, tuple[str, ...]] = {
    "start": ("name", "parent"),
    "params": ("values",),
    "tags": ("values",),
    "dataset": ("name", "digest", "context"),
    "metrics": ("values", "step"),
    "artifact": ("path", "folder"),
    "status": ("status",),
    "store": ("local",),
}
"""What each operation says beside ``op`` and ``time``."""

_BEGIN = b'{"op": '
_SHOWN = 60
logger = logging.getLogger("medmamba_monai.tracking")


@dataclass(frozen=True)
class RawLine:
    """One line as it stands in the file.

    Attributes:
        end: offset of the byte after it.
        content: what it says; None where it is no line of a journal.
    """

    end: int
    content: dict[str, Any] | None


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line as a whole, or not at all.

    What a killed process left of a line is cut off first, and what this one cannot finish is cut off again.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    # a lone surrogate, from a file's name, becomes the escape that JSON itself has for it
    raw = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_partial_line(path)
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(raw):
                written += file.write(raw[written:])
            os.fsync(file.fileno())
        except BaseException:  # also where a signal ends the process in mid-line
            with suppress(OSError):  # what remains is cut off before the next line
                os.ftruncate(file.fileno(), before)
            raise


def cut_partial_line(path: Path) -> None:
    """Cut off what a crash left of a last line, so that the next one does not run on from it."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        size = file.seek(-1, os.SEEK_END) + 1
        if file.read(1) == b"\n":
            return
        file.seek(0)
        complete = file.read(size).rfind(b"\n") + 1
        file.truncate(complete)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal; a last line that a crash cut off is left out, what is no line is reported."""
    return [line.content for line in scan_lines(path) if line.content is not None]


def read_beginning(path: Path) -> int | None:
    """Return when the journal was begun, in milliseconds since 1970, by which it is known from one in its place."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = _parse(file.readline())
    return int(content["time"]) if content is not None else None


def scan_lines(path: Path, offset: int = 0) -> Iterator[RawLine]:
    """Yield the complete lines from a byte offset on; what is none is reported in the log and has no content."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file.readlines():
            if not raw.endswith(b"\n"):
                return
            content = _parse(raw)
            if content is None or not raw.startswith(_BEGIN) or raw.count(_BEGIN) > 1:
                kept = "the entry after it is kept" if content is not None else "it is skipped"
                shown = raw[:_SHOWN].decode("utf-8", "backslashreplace").rstrip("\n").replace("\0", "\\0")
                logger.warning(f"{path}, byte {offset}: {shown!r} is no entry of a journal; {kept}")
            offset += len(raw)
            yield RawLine(offset, content)


def split_runs(lines: Iterator[RawLine]) -> Iterator[list[RawLine]]:
    """Yield the lines of one run after the other; each but the first begins with its start line."""
    current: list[RawLine] = []
    for line in lines:
        if current and line.content is not None and line.content["op"] == "start":
            yield current
            current = []
        current.append(line)
    if current:
        yield current


def _parse(raw: bytes) -> dict[str, Any] | None:
    """Return what a line says, also where it runs on from one that was not written to its end; None where it is none.

    The text that begins a line cannot stand within one, where JSON escapes its quotation marks.
    """
    try:
        content = json.loads(raw[max(raw.rfind(_BEGIN), 0) :])
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and _is_entry(content) else None


def _is_entry(content: Mapping[str, Any]) -> bool:
    fields = FIELDS.get(str(content.get("op")))
    if fields is None or not all(name in content for name in ("time", *fields)):
        return False
    return "values" not in fields or isinstance(content["values"], dict)
