"""Atomic files: no reader ever sees half of one."""

from __future__ import annotations

import glob
import importlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError

# on Windows a file that is open cannot be removed anyway
fcntl = importlib.import_module("fcntl") if sys.platform != "win32" else None

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}(?P<ending>\.[^.]*|)")


@contextmanager
def replace_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what is written there replaces ``path`` when the block ends well.

    The temporary file is flushed to disk before it is renamed, so that after a crash or a full disk the old content
    stands untouched.

    Args:
        path: the file to write; its folder is created.

    Raises:
        UserError: the folder or the file cannot be written (permissions, a full disk).
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent, target.name)
        with temporary.open("xb") as held:
            _lock(held.fileno())  # tells `remove_leftovers` of other processes that this one lives
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(target)
        flush_to_disk(target.parent)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}. Free space or choose another folder and start again; "
            "what was there before is untouched."
        ) from error
    finally:
        with suppress(OSError):  # where the folder is no folder there is nothing to remove
            temporary.unlink()


def check_new_folder(path: str | os.PathLike[str], purpose: str) -> Path:
    """Return a folder that something new is to be written into: one that is empty or not there yet.

    Args:
        path: the folder.
        purpose: what is written there, for the message.

    Raises:
        UserError: it holds something, or is a file.
    """
    target = Path(path)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UserError(f"{target}: is not empty; name a new folder for the {purpose}")
    return target


@contextmanager
def fill_new_folder(path: str | os.PathLike[str], purpose: str) -> Iterator[Path]:
    """Yield a new folder to write into; where the block fails, nothing of what it wrote remains.

    Args:
        path: the folder, see `check_new_folder`.
        purpose: what is written there, for the message.

    Raises:
        UserError: it holds something, is a file or cannot be made.
    """
    target = check_new_folder(path, purpose)
    was_there = target.is_dir()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be made ({error.strerror}); name another folder for the {purpose}"
        ) from error
    try:
        yield target
    except BaseException:
        for entry in target.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if not was_there:
            target.rmdir()
        raise


def write_folder_once(folder: str | os.PathLike[str], write: Callable[[Path], None]) -> Path:
    """Make a folder with all that belongs into it; one that is there is left as it is, an interrupted call leaves none.

    Args:
        folder: to make.
        write: fills the folder that it is given, which it creates itself.

    Returns:
        ``folder``.

    Raises:
        UserError: it cannot be written.
    """
    target = Path(folder)
    if target.exists():
        return target
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        write(unfinished)
        return unfinished.rename(target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); free or choose another folder") from error


def remove_leftovers(folder: str | os.PathLike[str], name: str = "*") -> list[Path]:
    """Remove the temporary files that killed processes left in a folder; those of living ones stay.

    Args:
        folder: need not exist.
        name: of the one file that they were to become; by default of any.

    Returns:
        What was removed.
    """
    removed = []
    wanted = name if name == "*" else glob.escape(name)
    for path in sorted(Path(folder).glob(f".{wanted}.*")):
        match = _TEMPORARY.fullmatch(path.name)
        if match and match["name"].endswith(match["ending"]) and path.is_file() and _is_abandoned(path):
            with suppress(OSError):  # another process removes it at the same time, or the folder is not ours
                path.unlink()
                removed.append(path)
    return removed


def _is_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _lock(file.fileno())
    except OSError:
        return False


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; returns whether nobody else holds it, which Windows cannot tell here."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace the text file ``path`` atomically (UTF-8)."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file ``path`` atomically."""
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Replace the JSON file ``path`` atomically; NaN and infinity are refused because JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def flush_to_disk(path: Path) -> None:
    """Wait until what a file holds, or what a folder lists, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
