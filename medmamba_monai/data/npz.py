"""Arrays out of npz files, never unpickled, and decompressed once per process."""

from __future__ import annotations

import lzma
import re
import threading
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from medmamba_monai.errors import UserError

_REFERENCE = re.compile(r"(?P<file>.+\.npz)#(?P<key>[^\[\]#]+)\[(?P<index>\d+)\]")
_lock = threading.Lock()
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
)
"""What NumPy and zipfile raise for damaged, encrypted or unknown content, beside ValueError."""


@dataclass(frozen=True)
class NpzReference:
    """One element of an array in an npz file, written ``file.npz#key[index]``."""

    file: str
    key: str
    index: int

    @classmethod
    def parse(cls, text: str) -> NpzReference | None:
        """Read the written form; None if it is something else."""
        match = _REFERENCE.fullmatch(text)
        return cls(match["file"], match["key"], int(match["index"])) if match else None

    def __str__(self) -> str:
        return f"{self.file}#{self.key}[{self.index}]"


def npz_array(path: str | Path, key: str) -> np.ndarray:
    """Return one array of an npz file, read-only and kept for the life of the process.

    An npz file decompresses the whole array at every access, so the array is kept; it is read again when the file
    has changed.

    Raises:
        UserError: the file is missing, damaged or no npz, has no such key, or the array holds Python objects or does
            not fit into memory.
    """
    path = Path(path)
    try:
        status = path.stat()
        with _lock:  # threads that fill a cache would otherwise each decompress the same array
            return _read(path, key, status.st_size, status.st_mtime_ns)
    except KeyError as error:
        raise UserError(f"{path}: has no array {key!r}; it has {', '.join(npz_keys(path))}") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: does not exist; run prepare to find or download it") from error
    except MemoryError as error:
        raise UserError(f"{path}: array {key!r} does not fit into memory ({error})") from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise _damaged(path, error) from error
        raise UserError(
            f"{path}: array {key!r} holds Python objects, which could run code and are never loaded; "
            "save it again as a plain numeric array"
        ) from error


@lru_cache(maxsize=16)
def _read(path: Path, key: str, size: int, mtime_ns: int) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("no zip archive, or cut off")
    with np.load(path, allow_pickle=False) as archive:
        array = archive[key]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{key!r} is no array")
    array.setflags(write=False)
    return array


def npz_keys(path: str | Path) -> list[str]:
    """Return the names of the arrays in an npz file.

    Raises:
        UserError: the file is missing, damaged or no npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path: str | Path, error: Exception) -> UserError:
    return UserError(f"{path}: is not a complete npz file ({error}); move it away and run prepare again to download it")
