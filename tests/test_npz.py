from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_data import npz_content, write_npz

from medmamba_monai.data.npz import NpzReference, npz_array
from medmamba_monai.errors import UserError


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o777)


def test_reference_is_read_and_written() -> None:
    reference = NpzReference.parse("folder/a.npz#train_images[12]")
    assert reference == NpzReference("folder/a.npz", "train_images", 12)
    assert str(reference) == "folder/a.npz#train_images[12]"


@pytest.mark.parametrize("text", ["a.png", "a.npz", "a.npz#key", "a.npz#key[-1]", "a.npz#key[1]x", "a.npy#key[0]"])
def test_anything_else_is_no_reference(text: str) -> None:
    assert NpzReference.parse(text) is None


def test_array_is_read_once_and_read_only(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    array = npz_array(path, "train_images")
    np.testing.assert_array_equal(array, npz_content()["train_images"])
    assert npz_array(path, "train_images") is array
    assert not array.flags.writeable


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    before = npz_array(write_npz(tmp_path), "train_labels")
    after = npz_array(write_npz(tmp_path, train_labels=np.ones((20, 1), np.uint8)), "train_labels")
    assert before.sum() == 10
    assert after.sum() == 20


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = write_npz(tmp_path, train_labels=np.array([Trap(tmp_path / "ran")], dtype=object))
    with pytest.raises(UserError, match="'train_labels' holds Python objects"):
        npz_array(path, "train_labels")
    assert not (tmp_path / "ran").exists()


def test_missing_key_lists_what_is_there(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_images=None)
    with pytest.raises(UserError, match=r"no array 'val_images'; it has train_images, train_labels"):
        npz_array(path, "val_images")


@pytest.mark.parametrize("kept", [0, 10, 1000, -10])
def test_truncated_file_says_so(tmp_path: Path, kept: int) -> None:
    path = write_npz(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        npz_array(path, "train_images")


def test_damaged_array_says_so(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[400:420] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        npz_array(path, "train_images")


def test_what_is_no_array_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train_images.npy", b"pixels")
    with pytest.raises(UserError, match=r"not a complete npz file \('train_images' is no array\)"):
        npz_array(tmp_path / "a.npz", "train_images")


@pytest.mark.parametrize(("first", "central", "number"), [(8, 10, 99), (6, 8, 1)], ids=["compression", "encrypted"])
def test_what_zip_cannot_unpack_says_so(tmp_path: Path, first: int, central: int, number: int) -> None:
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[first] = content[content.find(b"PK\1\2") + central] = number
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mini\.npz: is not a complete npz file"):
        npz_array(path, "train_images")


@pytest.mark.parametrize(
    ("shape", "said"), [("(2, 8", "not a complete npz"), (f"({10**13}, 8, 8)", "does not fit into memory")]
)
def test_impossible_header_says_so(tmp_path: Path, shape: str, said: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}".encode() + b"}" * shape.endswith(")")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match=said):
        npz_array(tmp_path / "a.npz", "x")


def test_single_array_under_the_name_of_an_npz_says_so(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(UserError, match="not a complete npz"):
        npz_array(tmp_path / "a.npz", "train_images")


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.npz: does not exist; run prepare"):
        npz_array(tmp_path / "none.npz", "train_images")
