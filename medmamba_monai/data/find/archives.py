"""Archives, also archives within archives: unpacked beside themselves, whole or not at all.

Own bounds around ``zipfile`` and ``tarfile``, which check neither what an archive expands to nor all of its links.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from medmamba_monai.core.documents import is_hidden
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_MAX_MEMBERS = 5_000_000
_SPARE_BYTES = 2**28  # left free on the disk
_MAX_RATIO = 200  # images hardly shrink; what expands more than this is no archive of them
_MAX_DEPTH = 10  # of archives within archives
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)

_Member = tuple[str, int, zipfile.ZipInfo | tarfile.TarInfo]


def unpack_new(archives: Iterable[Path]) -> list[Path]:
    """Unpack archives that are not unpacked yet, and the archives within them; print which.

    ``a.zip`` becomes the folder ``a`` beside it; where that is, it was unpacked before, by this or by other means, and
    only what is within it is looked at: unpacking goes on where it was interrupted.

    Args:
        archives: the files.

    Returns:
        The folders made.

    Raises:
        UserError: an archive is damaged, encrypted, too large for the disk, or holds paths that leave its folder; or
            the folder cannot be written.
    """
    return list(_unpack_all(archives, _MAX_DEPTH))


def list_archives(folder: Path, below: bool = False) -> list[Path]:
    """Return the archives in a folder, sorted.

    Args:
        folder: where to look.
        below: whether to look in all folders below, too.
    """
    entries = folder.rglob("*") if below else folder.iterdir()
    files = (path for path in entries if path.name.lower().endswith(SUFFIXES))
    return sorted(path for path in files if path.is_file() and not is_hidden(path.relative_to(folder)))


def strip_archive_suffix(archive: str) -> str:
    """Return the name of an archive without its suffix: that of the folder that it is unpacked to."""
    suffix = max((end for end in SUFFIXES if archive.lower().endswith(end)), key=len)
    return archive[: -len(suffix)]


def _unpack_all(archives: Iterable[Path], depth: int) -> Iterator[Path]:
    for archive in archives:
        if depth == 0:
            raise UserError(f"{archive}: is the {_MAX_DEPTH}th archive within archives; unpack it by hand")
        target = archive.with_name(strip_archive_suffix(archive.name))
        if not target.exists():
            print(f"unpacking {format_path(archive)}", flush=True)
            yield _unpack(archive, target)
        if target.is_dir():
            yield from _unpack_all(list_archives(target, below=True), depth - 1)


def _unpack(archive: Path, target: Path) -> Path:
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        with _open(archive) as opened:
            members = list(_list_members(opened, archive))
            _check_size(archive, members, unfinished)
            for name, _, member in tqdm(members, "unpack", leave=False, unit="file", disable=None):
                _copy(opened, member, unfinished / name)
        return unfinished.rename(target)
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{archive}: cannot be unpacked to {target} ({error.strerror or error}); unpack it by hand"
        ) from error
    except _DAMAGED as error:
        raise UserError(
            f"{archive}: is damaged or encrypted ({error}); download it again, or unpack it by hand"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _open(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    with zipfile.ZipFile(archive) if archive.name.lower().endswith(".zip") else tarfile.open(archive) as opened:
        yield opened


def _list_members(opened: zipfile.ZipFile | tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    """Yield the files of an archive with safe names; each name once."""
    listed: list[_Member]
    if isinstance(opened, zipfile.ZipFile):
        listed = [(info.filename, info.file_size, info) for info in opened.infolist() if not info.is_dir()]
        links = [info.filename for info in opened.infolist() if stat.S_ISLNK(info.external_attr >> 16)]
    else:
        listed = [(info.name, info.size, info) for info in opened.getmembers() if info.isfile()]
        links = [info.name for info in opened.getmembers() if not info.isfile() and not info.isdir()]
    seen: set[str] = set()
    for name in links:
        raise UserError(f"{archive}: {name!r} is a link or a device, which is never unpacked; unpack it by hand")
    for name, size, member in listed:
        path = PurePosixPath(name.replace("\\", "/"))
        if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise UserError(f"{archive}: {name!r} leaves the folder: this archive is not trusted")
        if path.as_posix() in seen:
            raise UserError(f"{archive}: {name!r} comes twice: this archive is not trusted")
        seen.add(path.as_posix())
        yield path.as_posix(), size, member


def _check_size(archive: Path, members: list[_Member], folder: Path) -> None:
    total, packed = sum(size for _, size, _ in members), archive.stat().st_size
    free = shutil.disk_usage(folder).free
    if len(members) > _MAX_MEMBERS or total > max(_MAX_RATIO * packed, _SPARE_BYTES):
        raise UserError(
            f"{archive}: {packed} bytes would become {len(members)} files of {total} bytes: not an archive of images; "
            "if it is, unpack it by hand"
        )
    if total + _SPARE_BYTES > free:
        raise UserError(
            f"{archive}: unpacked it needs {total / 1e9:.1f} GB, {folder.parent} has {free / 1e9:.1f} GB free"
        )


def _copy(opened: zipfile.ZipFile | tarfile.TarFile, member: zipfile.ZipInfo | tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source: IO[bytes] | None
    source = opened.open(member) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(member)  # type: ignore[arg-type]
    if source is None:
        raise tarfile.TarError(f"{target.name} has no content")
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
