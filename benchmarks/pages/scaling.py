"""What is written of ``python -m benchmarks.scaling``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.report import markdown_table, measured_on
from medmamba_monai.tracking.run import START_SECONDS

LIMIT = START_SECONDS
"""Seconds that an epoch's log may wait for its store: as long as the beginning of a run waits for it."""

KINDS = {
    "journal": "journal",
    "state of sending": "state of sending (`mlflow.json`)",
    "checkpoints": "checkpoints",
    "weights": "best weights",
    "others": "other files",
    "folders": "folders, after a file in them was replaced",
}


def scaling_part(result: dict[str, Any]) -> str:
    """Write what stores bear, what a folder bears, and the simulation."""
    options = result["options"]
    missing = "".join(f" {name}: not measured ({why})." for name, why in result["left_out"].items())
    told = (
        f"Each process logs for {options['seconds']:g} s, an epoch as soon as the store has the one before: so many a "
        "second, in brackets the longest wait of one. MLflow's server has "
        f"{options['server_workers']} processes. {measured_on(result)} Made by `python -m benchmarks.scaling`.{missing}"
    )
    parts = [_write_stores(result["stores"]), told, *_write_verdicts(result["stores"])]
    parts += [_write_folder(result["folder"]), _describe_folder(result["folder"])]
    for speed, outcomes in result["simulated"].items():
        parts += [f"Simulated, {speed}:", _write_simulation(options["workers"], outcomes)]
    return "\n\n".join(parts)


def _write_stores(stores: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    counts = [one["folds"] for one in next(iter(stores.values()))]
    rows = []
    for index, count in enumerate(counts):
        cells = [_write_cell(measured[index]) for measured in stores.values()]
        rows.append([str(count), *cells])
    return markdown_table(["folds at a time", *(f"{name}: epochs a second" for name in stores)], rows)


def _write_cell(one: Mapping[str, Any]) -> str:
    refused = f", {one['refused']} refused" if one["refused"] else ""
    return f"{one['epochs_per_second']:.1f} ({_write_seconds(one['epoch']['longest'])}{refused})"


def _write_verdicts(stores: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Say of each store where it breaks, and how many folds it bears whose epochs take a minute."""
    lines = []
    for name, measured in stores.items():
        refused = _find_first(measured, lambda one: one["refused"] > 0)
        waits = _find_first(measured, lambda one: one["epoch"]["longest"] > LIMIT)
        fastest = max(one["epochs_per_second"] for one in measured)
        calls = max(one["calls_per_second"] for one in measured)
        lines.append(
            f"- {name}: at most {fastest:.1f} epochs and {calls:.0f} calls a second, which is {60 * fastest:.0f} folds "
            f"whose epochs take a minute; a write is {_say_first('refused', refused)}, and an epoch "
            f"{_say_first(f'waits longer than {LIMIT:g} s', waits)}"
        )
    return ["\n".join(lines)]


def _find_first(measured: Sequence[Mapping[str, Any]], breaks: Callable[[Mapping[str, Any]], bool]) -> int | None:
    return next((one["folds"] for one in measured if breaks(one)), None)


def _say_first(what: str, number: int | None) -> str:
    return f"never {what} here" if number is None else f"{what} first with {number} folds"


def _write_folder(folder: Mapping[str, Any]) -> str:
    epochs = folder["epochs"]
    rows = []
    for kind, title in KINDS.items():
        if kind in folder["flushes"]:
            written = folder["replaced_bytes"].get(kind, folder["journal_bytes"] if kind == "journal" else 0)
            rows.append([title, f"{folder['flushes'][kind] / epochs:.1f}", _write_bytes(written / epochs)])
    total = sum(folder["flushes"].values())
    written = sum(folder["replaced_bytes"].values()) + folder["journal_bytes"]
    rows.append(["all", f"{total / epochs:.1f}", _write_bytes(written / epochs)])
    return markdown_table(["in the folder of a fold", "flushes an epoch", "written an epoch"], rows)


def _describe_folder(folder: Mapping[str, Any]) -> str:
    return (
        f"MedMamba-T, {folder['epochs']} epochs, of which {folder['best_epochs']} were the best so far; beginning and "
        f"end are counted in. At the end the folder has {folder['files']} files of {_write_bytes(folder['bytes'])}."
    )


def _write_simulation(workers: Sequence[int], outcomes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    rows = []
    for index, number in enumerate(workers):
        of_stores = [of_store[index] for of_store in outcomes.values()]
        burdens = [
            f"{one['store_busy']:.0%}, {_write_seconds(one['longest_lag'])}, {one['waiting']:.2%}" for one in of_stores
        ]
        last = of_stores[-1]
        times = [f"{last[name] / 3600:,.1f} h" for name in ("seconds", "seconds_longest_first")]
        rows.append([str(number), *times, f"{last['efficiency']:.0%}", *burdens])
    return markdown_table(["workers", "time", "longest folds first", "efficiency", *outcomes], rows)


def _write_seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def _write_bytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
