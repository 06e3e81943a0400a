"""Every notebook runs from its first cell to its last, and what is kept of it is small and names no machine."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client.provisioning import local_provisioner

from examples.execute import EXAMPLES, clean, execute
from tests.helpers.warm_commands import launch_kernel

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LARGEST = 300_000
FRESH = "network_in_monai"  # a fresh interpreter runs one of them, as it does for a user
names = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.slow
@names
@pytest.mark.apart
def test_it_runs_and_writes_nothing_beside_its_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path.stem != FRESH:
        monkeypatch.setattr(local_provisioner, "launch_kernel", launch_kernel)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the notebook sets it after the server of its folds was forked
    before = sorted(EXAMPLES.iterdir())
    try:
        notebook = execute(path, tmp_path)
    finally:
        print(*(file.read_text() for file in tmp_path.glob("output.txt")))  # of the kernel and of its folds
    assert printed(notebook)
    assert sorted(EXAMPLES.iterdir()) == before


@names
def test_it_is_committed_with_what_it_prints_and_small(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert printed(notebook)
    assert path.stat().st_size < LARGEST
    assert notebook == clean(nbformat.read(path, as_version=4)), "run: make examples"


@names
def test_it_names_no_folder_of_a_machine(path: Path) -> None:
    assert re.findall(r"/(?:root|home|tmp|work|Users)/\S*", path.read_text(encoding="utf-8")) == []
