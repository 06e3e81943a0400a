from __future__ import annotations

import errno
import io
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
import urllib3

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import compute_md5, download
from medmamba_monai.data.find.download import _copy
from tests.helpers.small_data import LocalServer, md5

CONTENT = bytes(range(256)) * 2000


class FileServer(LocalServer):
    """Serves CONTENT at any path, with byte ranges; counts what it sends and breaks off where told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[int] = []
        self.breaks_after: int | None = None
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.npz"


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.server.ranges else None
        start = int(asked[1]) if asked else 0
        if "missing" in self.path or start >= len(CONTENT):
            self.send_response(404 if "missing" in self.path else 416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        body = CONTENT[start:][: self.server.breaks_after]
        self.server.sent.append(len(body))  # before the client can have it all
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def content_md5(tmp_path: Path) -> str:
    (tmp_path / "content").write_bytes(CONTENT)
    return md5(tmp_path / "content")


def test_file_arrives_whole_and_leaves_no_part(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    path = download(server.url, tmp_path / "new" / "file.npz", content_md5)
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file.npz"]


def test_broken_download_is_resumed_where_it_stopped(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    server.breaks_after = 100_000
    with pytest.raises(UserError, match=r"bytes are kept in .*file\.npz\.part"):
        download(server.url, tmp_path / "file.npz", content_md5)
    assert not (tmp_path / "file.npz").exists()
    kept = (tmp_path / "file.npz.part").stat().st_size
    server.breaks_after = None
    assert download(server.url, tmp_path / "file.npz", content_md5).read_bytes() == CONTENT
    assert kept > 0
    assert server.sent == [100_000, len(CONTENT) - kept]


def test_transfer_that_ends_early_is_an_error_also_before_urllib3_2(tmp_path: Path) -> None:
    response = requests.Response()
    response.headers["Content-Length"] = "10"
    response.raw = urllib3.HTTPResponse(io.BytesIO(b"half"), preload_content=False, enforce_content_length=False)
    with (tmp_path / "file.npz.part").open("wb") as stream, pytest.raises(requests.ConnectionError, match="4 of 10"):
        _copy(response, stream, 0)


def test_server_without_ranges_starts_over(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    server.ranges = False
    (tmp_path / "file.npz.part").write_bytes(CONTENT[:5000])
    assert download(server.url, tmp_path / "file.npz", content_md5).read_bytes() == CONTENT


def test_complete_part_is_put_in_place(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    (tmp_path / "file.npz.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "file.npz", content_md5).read_bytes() == CONTENT
    assert server.sent == []


def test_part_longer_than_the_file_is_deleted(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    (tmp_path / "file.npz.part").write_bytes(CONTENT + b"more")
    with pytest.raises(UserError, match="longer than the file"):
        download(server.url, tmp_path / "file.npz", content_md5)
    assert download(server.url, tmp_path / "file.npz", content_md5).read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing_in_place(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="what arrived has MD5"):
        download(server.url, tmp_path / "file.npz", "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_is_checked_and_never_replaced(server: FileServer, tmp_path: Path, content_md5: str) -> None:
    (tmp_path / "file.npz").write_bytes(b"mine")
    with pytest.raises(UserError, match="damaged or another version"):
        download(server.url, tmp_path / "file.npz", content_md5)
    assert (tmp_path / "file.npz").read_bytes() == b"mine"
    assert server.sent == []


def test_missing_file_on_the_server_names_the_url(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"http://127.0.0.1.*/missing.*404"):
        download(server.url.replace("file.npz", "missing"), tmp_path / "file.npz")


def test_offline_says_how_to_place_the_file_by_hand(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.npz"
        with pytest.raises(UserError) as caught:
            download(url, tmp_path / "file.npz", "0" * 32)
    assert url in str(caught.value)
    assert f"save it in a browser as {tmp_path / 'file.npz'} (MD5 {'0' * 32})" in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_clear_error(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file.npz.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
        download(server.url, tmp_path / "file.npz")


def test_folder_that_cannot_be_made_is_one_clear_error(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        download(server.url, tmp_path / "occupied" / "file.npz")


def test_md5_follows_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = compute_md5(path)
    path.write_bytes(b"other")
    assert (first, compute_md5(path)) == ("f97c5d29941bfb1b2fdab0874906ab82", "795f3202b17cb6bc3d4b771d8c6c9eaf")
