from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medmamba_monai.core.after_import import call_after_import

NAME = "module_of_these_tests"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that was not imported."""
    path = tmp_path / f"{NAME}.py"
    path.write_text("number = 3")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield path
    sys.modules.pop(NAME, None)


def test_it_is_called_once_when_the_module_is_there(module: Path) -> None:
    numbers: list[int] = []
    finders = list(sys.meta_path)
    call_after_import(NAME, lambda: numbers.append(sys.modules[NAME].number))
    assert numbers == []
    importlib.import_module("this")
    imported = importlib.import_module(NAME)
    assert numbers == [3]
    assert sys.meta_path == finders
    importlib.reload(imported)
    assert numbers == [3]


def test_it_is_called_at_once_where_the_module_was_imported(module: Path) -> None:
    importlib.import_module(NAME)
    numbers: list[int] = []
    call_after_import(NAME, lambda: numbers.append(sys.modules[NAME].number))
    assert numbers == [3]


def test_after_an_import_that_failed_it_waits_for_the_next(module: Path) -> None:
    numbers: list[int] = []
    call_after_import(NAME, lambda: numbers.append(sys.modules[NAME].number))
    module.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(NAME)
    module.unlink()
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)
    assert numbers == []
    module.write_text("number = 4")
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    assert numbers == [4]


def test_two_may_wait_for_one_module(module: Path) -> None:
    called: list[str] = []
    call_after_import(NAME, lambda: called.append("first"))
    call_after_import(NAME, lambda: called.append("second"))
    importlib.import_module(NAME)
    assert sorted(called) == ["first", "second"]


def test_what_it_raises_the_import_raises(module: Path) -> None:
    call_after_import(NAME, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(NAME)
