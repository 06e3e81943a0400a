"""The cache folder on disk: its place, its room, its locks and its owner."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock

from medmamba_monai.core.errors import UserError

VARIABLE = "MEDMAMBA_CACHE_DIR"


def get_cache_dir() -> Path:
    """Return the folder for unpacked arrays and decoded images; it may be deleted whenever nothing runs.

    Returns:
        ``$MEDMAMBA_CACHE_DIR``, else ``medmamba_monai`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``. Absolute; it need
        not exist.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "medmamba_monai"


def measure_free_space(folder: Path) -> int:
    """Return the bytes that this user may still write into a folder, which need not exist yet.

    Raises:
        UserError: nothing can be known of it.
    """
    try:
        return shutil.disk_usage(_find_existing(folder)).free
    except OSError as error:
        raise UserError(f"{folder}: cannot be used ({error.strerror}); {suggest_other_folder()}") from error


def is_writable(folder: Path) -> bool:
    """Return whether a folder can be written, or made where it does not exist yet."""
    there = _find_existing(folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Check that something fits on the disk before any of it is written.

    Args:
        folder: where it is to go.
        needed: bytes.
        what: what it is, for the message.

    Raises:
        UserError: it does not fit.
    """
    if (free := measure_free_space(folder)) < needed:
        raise UserError(
            f"{what} needs {format_size(needed)} in {folder}, where {format_size(free)} are free; "
            f"{suggest_other_folder()}"
        )


def lock_file(path: Path) -> AcquireReturnProxy:
    """Make a lock file, and its folder, and wait until no other process or thread holds it.

    Returns:
        What holds it until the end of a ``with`` statement.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(path).acquire()
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written ({error.strerror}); {suggest_other_folder()}") from error


def make_private(folder: Path) -> None:
    """Make a folder for images of patients, or see to it that one which is there is for no other user's eyes.

    Raises:
        UserError: it belongs to another user, or cannot be made or changed.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owner(folder)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); {suggest_other_folder()}") from error


def check_owner(folder: Path) -> None:
    """Check that a folder is one's own, where it is there.

    Raises:
        UserError: it belongs to another user, who could read and replace what is in it.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        owner = folder.stat().st_uid
        if hasattr(os, "geteuid") and owner != os.geteuid():
            raise UserError(f"{folder}: belongs to another user (number {owner}); name another folder in {VARIABLE}")


def suggest_other_folder() -> str:
    """Return what a user can do about a cache folder, for messages."""
    return f"free space, or name another folder in {VARIABLE}"


def format_size(size: float) -> str:
    """Write a number of bytes with a unit of which there is at least one, e.g. ``147.0 KiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def _find_existing(folder: Path) -> Path:
    """Return the folder, or the innermost one around it that is there."""
    return next((place for place in (folder, *folder.parents) if place.exists()), folder)
