"""Run the notebooks and keep what they print: ``python examples/execute.py [NOTEBOOK ...]``.

Each runs in a temporary folder. What is kept is what does not differ from machine to machine: no times, no numbers of
executions, no warnings.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent
SECONDS_A_CELL = 280


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook in a folder, with the commands of this environment, and return it with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(folder)}}
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    client = NotebookClient(notebook, timeout=SECONDS_A_CELL, resources=place, record_timing=False)
    client.execute(env={**os.environ, "PATH": search_path})
    return notebook


def clean(notebook: nbformat.NotebookNode, folder: str | None = None) -> nbformat.NotebookNode:
    """Leave out of a notebook what differs from run to run, and call the folder that it ran in ``.``."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if folder is not None and "text" in output:
                    output.text = output.text.replace(folder, ".")
                if "execution_count" in output:
                    output.execution_count = None
                if "metadata" in output:
                    output.metadata = {}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main(names: list[str]) -> None:
    """Run the named notebooks, or all, and write them with their outputs."""
    for path in [Path(name) for name in names] or sorted(EXAMPLES.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(clean(execute(path, Path(folder)), folder), path)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
