from __future__ import annotations

import json
import os
import resource

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import (
    fill_new_folder,
    remove_leftovers,
    replace_atomically,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_is_replaced(tmp_path):
    write_text(tmp_path / "folder" / "a.txt", "first")
    write_text(tmp_path / "folder" / "a.txt", "second")
    assert (tmp_path / "folder" / "a.txt").read_text() == "second"


def test_an_error_while_writing_leaves_the_old_content_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with replace_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_permissions_and_the_umask_of_other_threads_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "umask")
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_full_disk_is_one_clear_error(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*a\.bin: .*Free space"):
            write_bytes(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"


def test_a_file_where_a_folder_should_be_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    write_json(tmp_path / "a.json", {"name": "Ø"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "Ø"}


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path):
    left = [tmp_path / ".a.txt.0123abcd.txt", tmp_path / ".model.00000000"]
    others = [tmp_path / name for name in (".hidden", ".a.txt.0123abcd.csv", ".a.txt.012.txt", "a.txt.0123abcd.txt")]
    for path in (*left, *others):
        path.touch()
    with replace_atomically(tmp_path / "b.txt") as temporary:
        assert remove_leftovers(tmp_path) == left
        assert temporary.exists()
        temporary.write_text("b")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "b.txt"])


def test_the_next_writing_of_a_file_removes_what_was_left_of_it(tmp_path):
    (tmp_path / ".a[1].txt.0123abcd.txt").touch()
    write_text(tmp_path / "a[1].txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a[1].txt"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_new_folder_that_could_not_be_filled_may_be_asked_for_again(tmp_path, is_there):
    target = tmp_path / "outer" / "new"
    if is_there:
        target.mkdir(parents=True)

    def fill_half() -> None:
        with fill_new_folder(target, "test") as folder:
            write_text(folder / "inner" / "a.txt", "half")
            raise KeyError

    with pytest.raises(KeyError):
        fill_half()
    assert target.is_dir() == is_there
    with fill_new_folder(target, "test") as folder:
        write_text(folder / "a.txt", "whole")
    assert (target / "a.txt").read_text() == "whole"


def test_a_new_folder_below_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/new: cannot be made \(Not a directory\); name another folder"):
        fill_new_folder(tmp_path / "file" / "new", "test").__enter__()
