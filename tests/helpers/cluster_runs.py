"""What tests of folds that are jobs of a cluster look at while they run, and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.journal_file import read_lines
from tests.helpers.small_bundle import Running

PATIENCE = 400


def read_printed(folder: Path) -> str:
    """What the cross-validation in a folder has printed; nothing before it has begun."""
    output = folder / "output.txt"
    return output.read_text() if output.is_file() else ""


def wait_for(what: Callable[[], object], folder: Path, running: Running) -> None:
    """Wait for something that folds do; fails with what their cross-validation printed, at once where it ended."""
    ends = time.monotonic() + PATIENCE
    while not what():
        assert running.poll() is None or what(), read_printed(folder)
        assert time.monotonic() < ends, read_printed(folder)
        time.sleep(0.05)


def wait_until(what: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that does not take long."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.2)


def has_trained(folder: Path, fold: int) -> bool:
    """Whether a fold has logged its first epoch."""
    journal = RunFolder(folder / "output").fold(fold).journal
    return journal.is_file() and any(line["op"] == "metrics" for line in read_lines(journal))


def list_statuses(folder: Path, fold: int) -> list[str]:
    """What became of a fold, one after the other."""
    journal = RunFolder(folder / "output").fold(fold).journal
    return [line["status"] for line in read_lines(journal) if line["op"] == "status"]


def check_same_weights(folder: Path, undisturbed: Path, folds: tuple[int, ...] = (0, 1)) -> None:
    """Compare the weights of folds with those of an undisturbed run, bit for bit."""
    for fold in folds:
        ours, expected = (load_file(RunFolder(one / "output").fold(fold).safetensors) for one in (folder, undisturbed))
        assert ours.keys() == expected.keys()
        assert all((ours[name] == expected[name]).all() for name in expected)
