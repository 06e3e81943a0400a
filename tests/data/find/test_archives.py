from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.archives import list_archives, unpack_new


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def unpack(folder: Path) -> list[Path]:
    return unpack_new(list_archives(folder))


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_archives_within_archives_are_unpacked(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "part.zip", {"part/a.png": b"pixels"}).read_bytes()
    (tmp_path / "part.zip").unlink()
    write_zip(tmp_path / "all.zip", {"images/part.zip": inner, "labels.csv": b"a,b"})
    assert unpack(tmp_path) == [tmp_path / "all", tmp_path / "all" / "images" / "part"]
    assert tree(tmp_path / "all")["images/part/part/a.png"] == b"pixels"


def test_what_is_unpacked_is_left_alone(tmp_path: Path) -> None:
    write_zip(tmp_path / "all.zip", {"a.txt": b"new"})
    (tmp_path / "all").mkdir()
    assert unpack(tmp_path) == []
    assert tree(tmp_path / "all") == {}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_tar_archives(tmp_path: Path, suffix: str) -> None:
    with tarfile.open(tmp_path / f"all.{suffix}", "w:gz" if suffix.endswith("gz") else "w") as archive:
        info = tarfile.TarInfo("a/b.txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    unpack(tmp_path)
    assert tree(tmp_path / "all") == {"a/b.txt": b"abc"}


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt", ".", "./."]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_zip(folder / "all.zip", {"good.txt": b"", name: b""})
    with pytest.raises(UserError, match=r"^\S+all\.zip: .* leaves the folder: this archive is not trusted$"):
        unpack(folder)
    assert tree(tmp_path).keys() == {"data/all.zip"}


def test_a_link_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"^\S+all\.tar: 'link' is a link or a device"):
        unpack(tmp_path)


def test_what_expands_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(300):
            archive.writestr(f"{number}.raw", bytes(2**20))
    with pytest.raises(UserError, match=r"^\S+bomb\.zip: \d+ bytes would become .* not an archive of images"):
        unpack(tmp_path)


def test_a_damaged_archive_leaves_nothing(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", {"a.txt": bytes(range(256)) * 100})
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"all\.zip: is damaged or encrypted"):
        unpack(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["all.zip"]


def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="is damaged or encrypted"):
        unpack(tmp_path)


def test_a_damaged_lzma_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", bytes(range(256)) * 100)
    content = bytearray(path.read_bytes())
    content[44:60] = bytes([255]) * 16
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"all\.zip: is damaged or encrypted"):
        unpack(tmp_path)


def test_only_the_given_archives_are_unpacked_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = write_zip(tmp_path / "a.zip", {"a.txt": b"a"})
    write_zip(tmp_path / "b.zip", {"b.txt": b"b"})
    assert unpack_new([wanted]) == [tmp_path / "a"]
    assert not (tmp_path / "b").exists()
    assert capsys.readouterr().out == f"unpacking {wanted}\n"


def test_unpacking_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    write_zip(tmp_path / "all.zip", {"part.zip": b"not read"})
    write_zip(tmp_path / "all" / "part.zip", {"a.txt": b"a"})
    assert unpack(tmp_path) == [tmp_path / "all" / "part"]


def test_archives_within_archives_without_end_are_refused(tmp_path: Path) -> None:
    content = b""
    for _ in range(12):
        content = write_zip(tmp_path / "a.zip", {"a.zip": content}).read_bytes()
    with pytest.raises(UserError, match="archive within archives; unpack it by hand"):
        unpack(tmp_path)


def test_a_folder_that_is_no_utf8_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "m\udce9decin"
    folder.mkdir()
    write_zip(folder / "all.zip", {"a.txt": b""})
    unpack(folder)
    assert r"m\xe9decin/all.zip" in capsys.readouterr().out
