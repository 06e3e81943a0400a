"""Files and folders that are where they are said to be even after the power was cut."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from medmamba_monai.core.files import flush_to_disk


def write(path: Path, *parts: bytes) -> None:
    """Write a new file and wait until it is on the disk; of one that cannot be written nothing stays.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def move(source: Path, target: Path) -> None:
    """Move a file or folder within a disk, in one step that either happened or did not."""
    source.rename(target)
    flush_to_disk(target.parent)
    if source.parent != target.parent:
        flush_to_disk(source.parent)


def flush_tree(folder: Path) -> None:
    """Wait until a folder and all in it are on the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            flush_to_disk(Path(place) / name)
        flush_to_disk(Path(place))


def remove(folder: Path) -> None:
    """Remove a folder, if it is there; one that was removed by half is removed by the next call."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def measure(folder: Path) -> int:
    """Return the bytes of the files in and below a folder; what disappears meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total
