"""Tables, bars and JSON files, the same for every benchmark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_machine, header
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.evaluation.tables import Table

RESULTS = Path(__file__).parent / "results"


class Bar(NamedTuple):
    """A promise and what was measured.

    Attributes:
        text: what is compared.
        figure: what was measured, None where it was not.
        limit: what it is held against.
        at_least: whether the figure must reach the limit; else it must not exceed it.
        measured_as_promised: whether sizes and threads were those of the promise.
    """

    text: str
    figure: float | None
    limit: float
    at_least: bool = False
    measured_as_promised: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the promise, None where nothing was measured."""
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def entry(self) -> dict[str, Any]:
        """Make a JSON entry; a figure that is not finite is given as text, since JSON has no such numbers."""
        figure = self.figure if self.figure is None or abs(self.figure) < float("inf") else str(self.figure)
        return self._asdict() | {"figure": figure, "met": self.met}


def new_result(name: str, options: dict[str, Any], machine: dict[str, Any] | None = None) -> dict[str, Any]:
    """Begin the JSON of a benchmark and print its header."""
    machine = machine or describe_machine()
    print(header(machine), flush=True)
    return {"benchmark": name, "machine": machine, "options": options, "interrupted": False}


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align a table: the first column to the left, all others to the right."""
    return Table(titles, rows).text.rstrip("\n")


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown: the first column to the left, all others to the right."""
    return Table(titles, rows).markdown.rstrip("\n")


def time_table(entries: Sequence[dict[str, Any]]) -> str:
    """Write the entries of :func:`benchmarks.timing.time_entries`, a part for each task."""
    parts = []
    for task in dict.fromkeys(entry["task"] for entry in entries):
        chosen = [entry for entry in entries if entry["task"] == task]
        ratios = [entry["ratio"] for entry in chosen if "ratio" in entry]
        titles = [task, "median", "min", "spread", "runs", *([f"x {ratios[0]['to']} (quartiles)"] if ratios else [])]
        parts.append(text_table(titles, [time_row(entry) for entry in chosen]))
    return "\n\n".join(parts)


def time_row(entry: dict[str, Any]) -> list[str]:
    """Write the figures of one entry: name, median, minimum, spread, runs and, if there, the ratio."""
    median, minimum = (milliseconds(entry[key]) for key in ("median", "minimum"))
    cells = [entry["name"], median, minimum, f"{100 * entry['spread']:.1f} %", str(entry["runs"])]
    if "ratio" not in entry:
        return cells
    ratio = entry["ratio"]
    return [*cells, f"{ratio['median']:.3f} ({ratio['lower']:.3f} to {ratio['upper']:.3f})"]


def measured_on(result: dict[str, Any]) -> str:
    """Say when, on what and with which code a result was measured."""
    machine = result["machine"]
    commit = (machine["revision"] or "unknown")[:10] + (" with changes" if machine.get("dirty") else "")
    device = machine.get("gpu", machine["cpu"])
    torch_version = machine["packages"]["torch"]
    return f"Measured on {machine['date'][:10]} on {device}, commit {commit}, torch {torch_version}."


def milliseconds(seconds: float) -> str:
    """Write a time with three digits or more."""
    value = 1000 * seconds
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f} ms"


def megabytes(size: float) -> str:
    """Write a number of bytes in MB (10^6 bytes)."""
    return f"{size / 1e6:,.0f} MB"


def bar_table(bars: Sequence[dict[str, Any]]) -> str:
    """Write bars beside their figures."""
    rows = []
    for bar in bars:
        figure = bar["figure"] if bar["figure"] is None or isinstance(bar["figure"], str) else f"{bar['figure']:.3g}"
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[bar["met"]]
        note = "" if bar["measured_as_promised"] else " (other settings)"
        limit = f"{'>=' if bar['at_least'] else '<='} {bar['limit']:g}"
        rows.append([bar["text"], figure or "-", limit, verdict + note])
    return text_table(["bar", "figure", "limit", ""], rows)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--json`` and ``--quick``."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes: to see that it runs")


def save_result(result: dict[str, Any], path: Path | None) -> None:
    """Write a result as JSON where ``--json`` asked for it."""
    if path is not None:
        write_json(path, result)
        print(f"written: {path}")


def load_result(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        UserError: the file is no JSON object.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{path} is no result of a benchmark ({error}): remove it and measure again") from error
