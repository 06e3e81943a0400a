from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from medmamba_monai.core.disk import (
    check_owner,
    format_size,
    get_cache_dir,
    is_writable,
    lock_file,
    make_private,
    measure_free_space,
    require_space,
)
from medmamba_monai.core.errors import UserError


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"MEDMAMBA_CACHE_DIR": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"MEDMAMBA_CACHE_DIR": "~/b"}, "/home/her/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/medmamba_monai"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/her/.cache/medmamba_monai"),
        ({}, "/home/her/.cache/medmamba_monai"),
    ],
)
def test_the_most_specific_variable_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("MEDMAMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (variables | {"HOME": "/home/her"}).items():
        monkeypatch.setenv(name, value)
    assert get_cache_dir() == Path(folder)


def test_a_relative_folder_is_that_of_the_process_that_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", "cache")
    assert get_cache_dir() == tmp_path / "cache"


def test_space_is_known_before_the_folder_exists(tmp_path: Path) -> None:
    assert measure_free_space(tmp_path / "none" / "yet") > 0
    require_space(tmp_path / "none" / "yet", 1, "a byte")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"a whale needs .* GiB in {tmp_path}, where .* free; .* MEDMAMBA_CACHE_DIR"):
        require_space(tmp_path, 2**60, "a whale")


def test_folders_can_be_written_and_files_can_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_writable(tmp_path / "none" / "yet")
    assert not is_writable(tmp_path / "file" / "below")


def test_a_lock_makes_its_folder_and_is_released(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_file(tmp_path / "a" / "b.lock"):
            assert (tmp_path / "a").is_dir()


def test_a_lock_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be written"):
        lock_file(tmp_path / "file" / "b.lock")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (150528, "147.0 KiB"), (2**40, "1,024.0 GiB")]
)
def test_sizes_have_a_unit(size: int, text: str) -> None:
    assert format_size(size) == text


def test_a_folder_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    for name in ("there", "new"):
        make_private(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_owner(tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UserError, match=r"belongs to another user \(number \d+\); name another folder in MEDMAMBA_CA"):
        check_owner(tmp_path)
