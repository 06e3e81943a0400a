"""What is written of ``python -m benchmarks.scaling``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.report import markdown_table, measured_on
from medmamba_monai.tracking.run import START_SECONDS

LIMIT = START_SECONDS
"""Seconds that the beginning of a run waits for its store."""

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
    options, stores = result["options"], result["stores"]
    missing = "".join(f" {name}: not measured ({why})." for name, why in result["left_out"].items())
    told = (
        f"Begin: what the start of a fold waits for. For {options['seconds']:g} s each process then logs an epoch as "
        f"soon as the store has the one before. End: weights of {_write_bytes(options['weight_bytes'])}, figures, the "
        "status. Refused: tries after which something was still to be sent; left: folds of which `medmamba-monai send` "
        "had to send something. Of a core: what an epoch costs its fold and its server. Others: the share of all cores "
        "that other programs took meanwhile, and with it of what is waited. MLflow's server has "
        f"{options['server_workers']} processes. {measured_on(result)} Before it began, the load of the machine was "
        f"{result['load']:.1f}. Made by `python -m benchmarks.scaling --folds "
        f"{' '.join(map(str, options['folds']))} --seconds {options['seconds']:g}`.{missing}"
    )
    parts = [part for name, measured in stores.items() for part in (f"{name}:", _write_store(measured))]
    parts += [told, "\n".join(_write_verdict(name, measured) for name, measured in stores.items())]
    parts += ["## The folder of a fold", _write_folder(result["folder"]), _describe_folder(result["folder"])]
    parts += ["## Simulated: 150 folds", _ASSUMED.format(start=f"{START_SECONDS:g}")]
    for speed, outcomes in result["simulated"].items():
        parts += [f"{speed}:", _write_simulation(options["workers"], outcomes)]
    return "\n\n".join(parts)


_ASSUMED = (
    "Five folds of ten networks with three seeds, 100 epochs each, on images as many as PneumoniaMNIST has. CPU: as "
    "fast as the networks are in {{doc}}`speed`; GPU: all of them 200 times as fast, which is MedMamba-T on an H200 in "
    "float32 and a guess for the others. The store serves one after the other: a begin and an end for as long as was "
    "measured of a fold that was alone, an epoch for as long as where most were logged a second. Of each store: how "
    "much of the time it is busy, how far it is behind the folds at most, how much of the workers' time goes into "
    "waiting for it (a begin waits {start} s at most). The times are those with the last store."
)


def _write_store(measured: Sequence[Mapping[str, Any]]) -> str:
    titles = ["folds at a time", "longest begin", "epochs a second", "median epoch", "longest epoch", "longest end"]
    rows = [
        [
            str(one["folds"]),
            _write_seconds(one["begin"]["longest"]),
            f"{one['epochs_per_second']:.1f}",
            *(_write_seconds(one["epoch"][which]) for which in ("median", "longest")),
            _write_seconds(one["end"]["longest"]),
            *(str(one[what]) for what in ("refused", "left")),
            *(f"{1000 * one[what]:.0f} ms" for what in ("fold_core", "store_core")),
            f"{one['others']:.0%}",
        ]
        for one in measured
    ]
    return markdown_table([*titles, "refused", "left", "fold's core", "server's core", "others"], rows)


def _write_verdict(name: str, measured: Sequence[Mapping[str, Any]]) -> str:
    """Say where a store breaks, and how many folds it bears whose epochs take a minute."""
    refused = _find_first(measured, lambda one: one["refused"] > 0)
    waits = _find_first(measured, lambda one: one["begin"]["longest"] > LIMIT)
    fastest = max(one["epochs_per_second"] for one in measured)
    calls = max(one["calls_per_second"] for one in measured)
    missing, doubled = (sum(one[what] for one in measured) for what in ("missing", "doubled"))
    return (
        f"- {name}: at most {fastest:.1f} epochs and {calls:.0f} calls a second, which is {60 * fastest:.0f} folds "
        f"whose epochs take a minute; a try is {_say_first('refused', refused)}, and a begin "
        f"{_say_first(f'waits longer than {LIMIT:g} s', waits)}. In the end the store lacked {missing or 'nothing'} of "
        f"what was logged, and had {doubled or 'no'} runs twice."
    )


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
