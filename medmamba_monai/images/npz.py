"""Arrays out of npz files: never unpickled, bounded before they are unpacked, and unpacked once.

NumPy's own reader has no bounds and unpacks the whole array at every access.
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import math
import re
import struct
import threading
import tokenize
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

from medmamba_monai.core.disk import format_size, get_cache_dir, lock_file, make_private, require_space
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import replace_atomically
from medmamba_monai.images.file_errors import check_regular_file

MAX_BYTES = 2**36
"""Largest array that is unpacked, 64 GiB: PathMNIST at 224 pixels, the largest known of its kind, has 15 GiB."""
IN_MEMORY_BYTES = 2**28
"""Largest array that is held in memory, 256 MiB; larger ones are mapped from a file."""

MAX_RATIO = 200
"""Most bytes that one packed byte may become, beyond `ALWAYS_BYTES`; images hardly shrink, masks by about 100."""
ALWAYS_BYTES = 2**30
"""Arrays up to 1 GiB are unpacked whatever they are packed to."""

logger = logging.getLogger("medmamba_monai.images")

_REFERENCE = re.compile(r"(?P<file>.+\.npz)#(?P<key>[^\[\]#]+)\[(?P<index>\d+)\]")
_lock = threading.Lock()
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
)
"""What NumPy and zipfile raise for damaged, encrypted or unknown content."""
_CHUNK = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of the name and of the extra field
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


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


@dataclass(frozen=True)
class _Header:
    """What an array says of itself before its values begin."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    length: int

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def map(self, path: Path, offset: int) -> np.ndarray:
        """Map the values from where they begin in a file."""
        order = "F" if self.fortran_order else "C"
        return np.asarray(np.memmap(path, self.dtype, "r", offset, self.shape, order))  # type: ignore[call-overload]


def read_npz_array(
    path: str | Path, key: str, *, max_bytes: int = MAX_BYTES, in_memory_bytes: int = IN_MEMORY_BYTES
) -> np.ndarray:
    """Return one array of an npz file, read-only and kept for the life of the process.

    An npz file decompresses the whole array at every access, so it is unpacked once; again when the file has changed.
    A small array is kept in memory. A large one is mapped: straight from the npz file where it is stored there without
    compression, else from a copy in :func:`~medmamba_monai.core.disk.get_cache_dir`, which the first of all processes
    writes and each process compares once with the file's checksum (what is mapped straight is not compared).

    Args:
        path: the npz file.
        key: name of the array.
        max_bytes: largest array that is unpacked; a small file can declare a huge one.
        in_memory_bytes: largest array that is kept in memory.

    Raises:
        UserError: the file is missing, damaged or no npz, has no such key, or the array holds Python objects, is larger
            than ``max_bytes`` or fits neither into memory nor on the disk.
    """
    path = Path(path)
    try:
        status = path.stat()
        check_regular_file(path)
        with _lock:  # threads that fill a cache would otherwise each decompress the same array
            version = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            return _read(path, key, version, max_bytes, in_memory_bytes)
    except UserError:
        raise
    except KeyError as error:
        raise UserError(f"{path}: has no array {key!r}; it has {', '.join(list_npz_arrays(path))}") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: does not exist; run prepare to find or download it") from error
    except MemoryError as error:
        raise UserError(f"{path}: array {key!r} does not fit into memory ({error})") from error
    except _UNREADABLE as error:
        raise _explain_damage(path, error) from error


def list_npz_arrays(path: str | Path) -> list[str]:
    """Return the names of the arrays in an npz file.

    Raises:
        UserError: the file is missing, damaged or no npz.
    """
    try:
        if Path(path).exists():
            check_regular_file(Path(path))
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise _explain_damage(path, error) from error


@lru_cache(maxsize=16)
def _read(path: Path, key: str, version: tuple[int, ...], max_bytes: int, in_memory_bytes: int) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("no zip archive, or cut off")
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{key}.npy")
        with archive.open(member) as stream:
            header = _read_header(stream, key)
        _check_header(path, key, header, member, max_bytes)
        if header.nbytes <= in_memory_bytes:
            with archive.open(member) as stream:
                array = npy.read_array(stream, allow_pickle=False)
        elif member.compress_type == zipfile.ZIP_STORED:
            array = header.map(path, _find_content(path, member) + header.length)
        else:
            unpacked = _unpack(archive, member, _name_copy(path, key, member), f"{path}, array {key!r},")
            array = header.map(unpacked, header.length)
    array.setflags(write=False)
    return array


def _read_header(stream: IO[bytes], key: str) -> _Header:
    """Read an array's header, which is itself bounded by NumPy, and nothing behind it."""
    if stream.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
        raise ValueError(f"{key!r} is no array")
    version = tuple(stream.read(2))
    if version not in _HEADER_READERS:
        raise ValueError(f"{key!r} is an array of an unknown format {version}")
    shape, fortran_order, dtype = _HEADER_READERS[version](stream)
    return _Header(shape, fortran_order, dtype, stream.tell())


def _check_header(path: Path, key: str, header: _Header, member: zipfile.ZipInfo, max_bytes: int) -> None:
    if header.dtype.hasobject:
        raise UserError(
            f"{path}: array {key!r} holds Python objects, which could run code and are never loaded; "
            "save it again as a plain numeric array"
        )
    if header.nbytes > max_bytes:
        raise UserError(
            f"{path}: array {key!r} of shape {header.shape} would take {format_size(header.nbytes)}, more than the "
            f"{format_size(max_bytes)} that are unpacked; split it, or scale its images down"
        )
    held = member.file_size - header.length
    if header.nbytes != held or min(header.shape, default=0) < 0:
        raise ValueError(f"array {key!r} of shape {header.shape} needs {header.nbytes} bytes, the file holds {held}")


def _find_content(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where a member's content begins: behind its local header, whose extra field has its own length."""
    if member.flag_bits & 1:
        raise RuntimeError(f"{member.filename} is encrypted")
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        _, name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return member.header_offset + _LOCAL_HEADER.size + name + extra


def _name_copy(path: Path, key: str, member: zipfile.ZipInfo) -> Path:
    """Return the name of a copy: the array's part, which finds the copies of earlier versions, then the content's."""
    array = hashlib.sha256(f"{path.absolute()}\0{key}".encode()).hexdigest()
    return get_cache_dir() / "npz" / f"{array[:32]}-{member.file_size:x}-{member.CRC:08x}.npy"


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, what: str) -> Path:
    """Write a member to ``target`` unless it is there unharmed; only one process does, the others wait for it."""
    make_private(target.parent)
    if _is_intact(target, member):
        return target
    with lock_file(target.with_name(f"{target.stem.partition('-')[0]}.lock")):
        if _is_intact(target, member):
            return target
        _remove_others(target)
        require_space(target.parent, member.file_size, what)
        if member.file_size > max(MAX_RATIO * member.compress_size, ALWAYS_BYTES):
            raise UserError(
                f"{what} would grow from {format_size(member.compress_size)} to {format_size(member.file_size)}, as no "
                "images do; if that is meant, save it without compression (numpy.savez)"
            )
        logger.info(f"{what} is unpacked once, {format_size(member.file_size)}, into {target.parent}")
        with replace_atomically(target) as temporary:
            temporary.chmod(0o600)
            _copy_member(archive, member, temporary)
    return target


def _is_intact(copy: Path, member: zipfile.ZipInfo) -> bool:
    if not copy.is_file() or copy.stat().st_size != member.file_size:
        return False
    checksum = 0
    with copy.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            checksum = zlib.crc32(piece, checksum)
    return checksum == member.CRC


def _remove_others(target: Path) -> None:
    """Remove the copies of earlier versions and what a killed process left."""
    array = target.stem.partition("-")[0]
    for pattern in (f"{array}-*.npy", f".{array}-*"):
        for path in target.parent.glob(pattern):
            with suppress(OSError):  # Windows removes no file that is in use
                path.unlink()


def _copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write a member; zipfile compares the checksum when the last byte is read."""
    bar = tqdm(total=member.file_size, unit="B", unit_scale=True, desc="unpack", leave=False, disable=None)
    with bar, archive.open(member) as stream, target.open("wb") as copy:
        while piece := stream.read(_CHUNK):
            copy.write(piece)
            bar.update(len(piece))
        if copy.tell() != member.file_size:
            raise EOFError(f"{member.filename} ends early")


def _explain_damage(path: str | Path, error: Exception) -> UserError:
    return UserError(f"{path}: is not a complete npz file ({error}); move it away and run prepare again to download it")
