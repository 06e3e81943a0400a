"""Downloads: resumed where they stopped, checked, and put in place whole or not at all.

Own code, since neither pooch nor MONAI's ``download_url`` goes on with a transfer that broke off.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import requests
from tqdm import tqdm

from medmamba_monai.core.errors import UserError


class DownloadError(UserError):
    """The file could not be fetched: no connection, an HTTP error or a transfer that broke off."""


_CHUNK = 1 << 16
_TIMEOUT_SECONDS = (10, 60)  # to connect, between two pieces


def compute_md5(path: str | Path) -> str:
    """Return the MD5 of a file as hex; a file that did not change is read once per process."""
    path = Path(path)
    status = path.stat()
    return _compute_md5(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 18)
def _compute_md5(path: Path, size: int, mtime_ns: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def check_md5(path: Path, md5: str | None) -> None:
    """Compare a file with a published checksum; None means that none is published.

    Raises:
        UserError: they differ; names the file and both values.
    """
    if md5 is not None and (found := compute_md5(path)) != md5:
        raise UserError(
            f"{path}: MD5 is {found}, published is {md5}: the file is damaged or another version. "
            "Move it away and run the same command again to download it"
        )


def download(url: str, destination: str | Path, md5: str | None = None) -> Path:
    """Download a file, or go on with a download that was interrupted.

    What has arrived is kept beside ``destination`` as ``<name>.part``. A file that is already at ``destination`` is
    checked and never replaced.

    Args:
        url: where the file is.
        destination: where to put it; folders are made.
        md5: published checksum, or None to skip the check.

    Returns:
        ``destination``.

    Raises:
        UserError: no connection, an HTTP error, a transfer that broke off, a wrong checksum or a disk that cannot be
            written; says how to go on, or how to place the file by hand.
    """
    destination = Path(destination)
    if destination.exists():
        check_md5(destination, md5)
        return destination
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part)
        _check_part(part, md5, url)
        part.replace(destination)
    except requests.RequestException as error:
        raise DownloadError(_explain_failure(url, part, destination, md5, error)) from error
    except OSError as error:
        raise UserError(f"{part}: cannot be written ({error.strerror}); free or choose another folder") from error
    return destination


def _fetch(url: str, part: Path) -> None:
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") != f"bytes */{start}":
                part.unlink()
                raise requests.HTTPError(f"{part.name} was longer than the file and is deleted", response=response)
            return
        response.raise_for_status()
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if response.status_code == requests.codes.partial_content and not resumed:
            raise requests.HTTPError("the server sent another range than asked for", response=response)
        with part.open("ab" if resumed else "wb") as stream:
            _copy(response, stream, start if resumed else 0)


def _copy(response: requests.Response, stream: BinaryIO, start: int) -> None:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    with tqdm(total=total, initial=start, unit="B", unit_scale=True, desc="download", leave=False, disable=None) as bar:
        for piece in response.iter_content(_CHUNK):
            stream.write(piece)
            bar.update(len(piece))
    stream.flush()
    os.fsync(stream.fileno())
    if total is not None and stream.tell() < total:  # urllib3 notices this itself from version 2 on
        raise requests.ConnectionError(f"only {stream.tell()} of {total} bytes arrived")


def _check_part(part: Path, md5: str | None, url: str) -> None:
    if md5 is not None and (found := compute_md5(part)) != md5:
        part.unlink()
        raise UserError(
            f"{url}: what arrived has MD5 {found}, published is {md5}; it is deleted. Run the same command again; "
            "if it happens twice, the file was changed by its publisher or on the way"
        )


def _explain_failure(url: str, part: Path, destination: Path, md5: str | None, error: requests.RequestException) -> str:
    reason = f"the server answered: {error}" if error.response is not None else "no connection, or it broke off"
    kept = f" ({part.stat().st_size} bytes are kept in {part})" if part.exists() else ""
    by_hand = f"save it in a browser as {destination}" + (f" (MD5 {md5})" if md5 else "")
    return f"{url}: download failed: {reason}{kept}. Run the same command again to go on, or {by_hand}"
