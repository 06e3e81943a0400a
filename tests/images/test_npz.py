from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from mmap import mmap
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from medmamba_monai.core.disk import get_cache_dir
from medmamba_monai.core.errors import UserError
from medmamba_monai.images import npz
from medmamba_monai.images.npz import NpzReference, read_npz_array
from tests.helpers.small_data import npz_content, write_npz


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o777)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, which does not exist yet."""
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def npy_header(shape: str, version: bytes = b"\x01\0") -> bytes:
    """The beginning of a uint8 array file, cut off where the shape is."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}".encode() + b"}" * shape.endswith(")")
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header


def is_mapped(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap) or (array.base is not None and isinstance(array.base, (np.memmap, mmap)))


def forget() -> None:
    """Let the next access be the first one of the process."""
    npz._read.cache_clear()


def test_reference_is_read_and_written() -> None:
    reference = NpzReference.parse("folder/a.npz#train_images[12]")
    assert reference == NpzReference("folder/a.npz", "train_images", 12)
    assert str(reference) == "folder/a.npz#train_images[12]"


@pytest.mark.parametrize("text", ["a.png", "a.npz", "a.npz#key", "a.npz#key[-1]", "a.npz#key[1]x", "a.npy#key[0]"])
def test_anything_else_is_no_reference(text: str) -> None:
    assert NpzReference.parse(text) is None


def test_array_is_read_once_and_read_only(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    array = read_npz_array(path, "train_images")
    np.testing.assert_array_equal(array, npz_content()["train_images"])
    assert read_npz_array(path, "train_images") is array
    assert not array.flags.writeable


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    before = read_npz_array(write_npz(tmp_path), "train_labels")
    after = read_npz_array(write_npz(tmp_path, train_labels=np.ones((20, 1), np.uint8)), "train_labels")
    assert before.sum() == 10
    assert after.sum() == 20


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = write_npz(tmp_path, train_labels=np.array([Trap(tmp_path / "ran")], dtype=object))
    with pytest.raises(UserError, match="'train_labels' holds Python objects"):
        read_npz_array(path, "train_labels")
    assert not (tmp_path / "ran").exists()


def test_missing_key_lists_what_is_there(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_images=None)
    with pytest.raises(UserError, match=r"no array 'val_images'; it has train_images, train_labels"):
        read_npz_array(path, "val_images")


@pytest.mark.parametrize("kept", [0, 10, 1000, -10])
def test_truncated_file_says_so(tmp_path: Path, kept: int) -> None:
    path = write_npz(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        read_npz_array(path, "train_images")


def test_damaged_array_says_so(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[400:420] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        read_npz_array(path, "train_images")


def test_what_is_no_array_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train_images.npy", b"pixels")
    with pytest.raises(UserError, match=r"not a complete npz file \('train_images' is no array\)"):
        read_npz_array(tmp_path / "a.npz", "train_images")


@pytest.mark.parametrize(("first", "central", "number"), [(8, 10, 99), (6, 8, 1)], ids=["compression", "encrypted"])
def test_what_zip_cannot_unpack_says_so(tmp_path: Path, first: int, central: int, number: int) -> None:
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[first] = content[content.find(b"PK\1\2") + central] = number
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        read_npz_array(path, "train_images")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("(2, 8", "not a complete npz"),
        ("(9, 8)", "not a complete npz file .* needs 72 bytes, the file holds 0"),
        ("(-1, 0)", "not a complete npz"),
        (f"({10**13}, 8, 8)", "array 'x' of shape .* would take .* more than the 64.0 GiB that are unpacked"),
    ],
)
def test_impossible_header_says_so(tmp_path: Path, shape: str, said: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy_header(shape))
    with pytest.raises(UserError, match=said):
        read_npz_array(tmp_path / "a.npz", "x")


def test_unknown_format_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy_header("(0,)", version=b"\x03\0"))
    with pytest.raises(UserError, match=r"not a complete npz .* unknown format \(3, 0\)"):
        read_npz_array(tmp_path / "a.npz", "x")


def test_array_beyond_the_bound_is_not_unpacked(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with pytest.raises(
        UserError, match=r"mini\.npz: array 'train_images' of shape \(20, 8, 8\) would take 1.2 KiB, more"
    ):
        read_npz_array(path, "train_images", max_bytes=1279)
    assert read_npz_array(path, "train_images", max_bytes=1280).shape == (20, 8, 8)


def test_large_array_is_unpacked_once_into_the_cache(tmp_path: Path, cache: Path) -> None:
    path = write_npz(tmp_path)
    array = read_npz_array(path, "train_images", in_memory_bytes=1279)
    np.testing.assert_array_equal(array, npz_content()["train_images"])
    assert is_mapped(array)
    assert not array.flags.writeable
    (copy,) = cache.glob("npz/*.npy")
    written = copy.stat().st_mtime_ns
    forget()
    np.testing.assert_array_equal(read_npz_array(path, "train_images", in_memory_bytes=0), array)
    assert [found.stat().st_mtime_ns for found in cache.glob("npz/*.npy")] == [written]


def test_array_within_the_threshold_is_held_in_memory(tmp_path: Path, cache: Path) -> None:
    assert not is_mapped(read_npz_array(write_npz(tmp_path), "train_images", in_memory_bytes=1280))
    assert not cache.exists()


@pytest.mark.parametrize("order", ["C", "F"])
def test_uncompressed_array_is_mapped_where_it_is(tmp_path: Path, cache: Path, order: Literal["C", "F"]) -> None:
    content = np.asarray(np.arange(60, dtype=">u2").reshape(3, 4, 5), order=order)
    np.savez(tmp_path / "a.npz", before=np.zeros(7), x=content)
    array = read_npz_array(tmp_path / "a.npz", "x", in_memory_bytes=0)
    np.testing.assert_array_equal(array, content)
    assert is_mapped(array)
    assert not cache.exists()


def flip(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)


@pytest.mark.parametrize("damage", [lambda copy: os.truncate(copy, 700), Path.unlink, flip], ids=["cut", "gone", "bit"])
def test_damaged_copy_is_made_again(tmp_path: Path, cache: Path, damage: Callable[[Path], None]) -> None:
    path = write_npz(tmp_path)
    read_npz_array(path, "train_images", in_memory_bytes=0)
    forget()
    damage(next(cache.glob("npz/*.npy")))
    array = read_npz_array(path, "train_images", in_memory_bytes=0)
    np.testing.assert_array_equal(array, npz_content()["train_images"])


@pytest.mark.parametrize("in_memory_bytes", [0, 10**6])
def test_other_content_of_the_same_size_and_time_is_read(tmp_path: Path, cache: Path, in_memory_bytes: int) -> None:
    path, images = tmp_path / "a.npz", np.random.default_rng(0).integers(0, 9, (99, 8), np.uint8)
    (np.savez if in_memory_bytes else np.savez_compressed)(path, x=images)
    status = path.stat()
    read_npz_array(path, "x", in_memory_bytes=in_memory_bytes)
    (np.savez if in_memory_bytes else np.savez_compressed)(path, x=images[:, ::-1])
    path.write_bytes(path.read_bytes().ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(read_npz_array(path, "x", in_memory_bytes=in_memory_bytes), images[:, ::-1])


def test_only_its_owner_can_read_a_copy(tmp_path: Path, cache: Path) -> None:
    (cache / "npz").mkdir(parents=True, mode=0o755)
    read_npz_array(write_npz(tmp_path), "train_images", in_memory_bytes=0)
    (copy,) = cache.glob("npz/*.npy")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, cache / "npz")] == [0o600, 0o700]


def test_copies_of_earlier_versions_are_removed(tmp_path: Path, cache: Path) -> None:
    read_npz_array(write_npz(tmp_path), "train_images", in_memory_bytes=0)
    (earlier,) = cache.glob("npz/*.npy")
    left_by_a_killed_process = earlier.with_name(f".{earlier.name}.0123abcd.npy")
    left_by_a_killed_process.touch()
    path = write_npz(tmp_path, train_images=np.ones((20, 8, 8), np.uint8), val_images=None)
    assert read_npz_array(path, "train_images", in_memory_bytes=0).all()
    (copy,) = cache.glob("npz/*.npy")
    assert copy != earlier
    assert not left_by_a_killed_process.exists()


def test_wrong_checksum_leaves_no_copy(tmp_path: Path, cache: Path) -> None:
    path = write_npz(tmp_path)
    with zipfile.ZipFile(path) as archive:
        checksum = archive.getinfo("train_images.npy").CRC.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(checksum, bytes(4)))
    with pytest.raises(UserError, match=r"not a complete npz file \(Bad CRC-32"):
        read_npz_array(path, "train_images", in_memory_bytes=0)
    assert not list(cache.glob("npz/*.npy"))


def test_copy_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path, cache: Path) -> None:
    header = npy_header(f"({2**60},)")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header)
        archive.filelist[0].file_size = len(header) + 2**60
    with pytest.raises(
        UserError, match=r"array 'x', needs .* GiB in .*npz, where .* or name another folder in MEDMAMBA"
    ):
        read_npz_array(tmp_path / "a.npz", "x", max_bytes=2**61)
    assert not list(cache.glob("npz/*.npy"))


def test_copy_that_cannot_be_written_says_where(tmp_path: Path, cache: Path) -> None:
    cache.touch()
    with pytest.raises(UserError, match=r"cannot be written .* name another folder in MEDMAMBA_CACHE_DIR"):
        read_npz_array(write_npz(tmp_path), "train_images", in_memory_bytes=0)


def test_processes_unpack_an_array_once(tmp_path: Path, cache: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, (400, 100, 100), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=content)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        sums = list(pool.map(unpack_and_sum, [tmp_path / "a.npz"] * 2))
    assert sums == [(content.sum(dtype=np.int64), next(cache.glob("npz/*.npy")).stat().st_ino)] * 2
    assert len(list(cache.glob("npz/*"))) == 2, "the copy and its lock, nothing temporary"


def unpack_and_sum(path: Path) -> tuple[int, int]:
    array = read_npz_array(path, "x", in_memory_bytes=0)
    return int(array.sum(dtype=np.int64)), next((get_cache_dir() / "npz").glob("*.npy")).stat().st_ino


def test_single_array_under_the_name_of_an_npz_says_so(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(UserError, match="not a complete npz"):
        read_npz_array(tmp_path / "a.npz", "train_images")


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.npz: does not exist; run prepare"):
        read_npz_array(tmp_path / "none.npz", "train_images")


def test_an_array_that_grows_as_no_images_do_is_not_unpacked(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**20, np.uint8))
    assert len(read_npz_array(tmp_path / "a.npz", "x", in_memory_bytes=0)) == 2**20
    shutil.rmtree(cache)
    npz._read.cache_clear()
    monkeypatch.setattr(npz, "ALWAYS_BYTES", 2**16)
    with pytest.raises(UserError, match=r"array 'x', would grow from .* to 1\.0 MiB, as no images do; if that is"):
        read_npz_array(tmp_path / "a.npz", "x", in_memory_bytes=0)
    assert not list(cache.glob("npz/*.npy"))


def test_masks_that_shrink_much_are_unpacked(tmp_path: Path, cache: Path) -> None:
    ball = np.square(np.indices((64, 64, 64)) - 32).sum(0) < 400
    np.savez_compressed(tmp_path / "a.npz", x=np.repeat(ball[None].astype(np.uint8), 20, 0))
    assert len(read_npz_array(tmp_path / "a.npz", "x", in_memory_bytes=0)) == 20
