from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from medmamba_monai.core.memory import measure_available_memory

MIB = 1 << 20


def write_group(folder: Path, limit: str, usage: int, version: int = 2, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, usage), strict=True):
        (folder / name).write_text(f"{value}\n")
    key = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{key} {cached}\nfile 5\n")


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def own(tmp_path: Path, text: str) -> Path:
    (tmp_path / "own").write_text(text)
    return tmp_path / "own"


def is_unlimited(found: int) -> bool:
    return found > 0.5 * psutil.virtual_memory().available


def test_the_limit_of_a_group_counts_without_cached_files(tmp_path: Path) -> None:
    write_group(tmp_path / "job", str(10 * MIB), 8 * MIB, cached=3 * MIB)
    assert measure_available_memory(tmp_path, own(tmp_path, "0::/job\n")) == 5 * MIB


def test_the_smallest_limit_around_counts(tmp_path: Path) -> None:
    write_group(tmp_path / "a" / "b", str(9 * MIB), 0)
    write_group(tmp_path / "a", str(4 * MIB), MIB)
    assert measure_available_memory(tmp_path, own(tmp_path, "0::/a/b\n")) == 3 * MIB


def test_version_1_is_read(tmp_path: Path) -> None:
    write_group(tmp_path / "memory" / "job", str(10 * MIB), 8 * MIB, version=1, cached=MIB)
    assert measure_available_memory(tmp_path, own(tmp_path, "5:cpuset:/x\n4:memory:/job\n0::/\n")) == 3 * MIB


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    write_group(tmp_path / "memory", str(2 * MIB), MIB, version=1)
    assert measure_available_memory(tmp_path, own(tmp_path, "4:memory:/docker/not/visible/here\n")) == MIB


@pytest.mark.parametrize(("limit", "version"), [("max", 2), ("9223372036854771712", 1)])
def test_no_limit_is_none(tmp_path: Path, limit: str, version: int) -> None:
    write_group(tmp_path / ("" if version == 2 else "memory"), limit, 1, version)
    assert is_unlimited(measure_available_memory(tmp_path, own(tmp_path, "0::/\n1:memory:/\n")))


def test_a_system_without_groups_has_its_memory(tmp_path: Path) -> None:
    assert is_unlimited(measure_available_memory(tmp_path / "none", tmp_path / "nothing"))


def test_more_used_than_allowed_leaves_nothing(tmp_path: Path) -> None:
    write_group(tmp_path, str(MIB), 2 * MIB)
    assert measure_available_memory(tmp_path, own(tmp_path, "0::/\n")) == 0


def test_processes_of_a_distributed_training_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_group(tmp_path, str(8 * MIB), 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert measure_available_memory(tmp_path, own(tmp_path, "0::/\n")) == 2 * MIB


def test_this_machine_has_memory() -> None:
    assert 0 < measure_available_memory() <= psutil.virtual_memory().total
