"""What the process of a fold does to its folder and to a store, many of them at once and without a pause.

No network is trained: an epoch is what is logged of it, by the product's own run, journal and sender. So many processes
that log without a pause bear on a store as many times as many that train in between.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any, NamedTuple

from benchmarks.scaling.processors import compare, look
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.tracking import RunDataset, TrackedRun
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.journal_sender import JournalSender

EXPERIMENT = "scaling"
PRELOADED = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.tracking.rest_store", __name__)
METRICS = ("train/loss", "validation/auc", "validation/accuracy", "validation/loss", "learning_rate")
TIMES = ("epoch_seconds", "images_per_second")
SAMPLED = (
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
    "disk_usage_megabytes",
    "disk_usage_percentage",
    "disk_available_megabytes",
    "network_receive_megabytes",
    "network_transmit_megabytes",
)
PARAMETERS = 40
EVALUATED = 60
FIGURES, FIGURE_BYTES = 8, 40_000
LOCKED = "database is locked"
PATIENCE = 600.0
"""Seconds that processes wait for one another."""


class Told(NamedTuple):
    """What the processes are told.

    Attributes:
        folder: of the cross-validation.
        address: of the store.
        seconds: how long they log epochs.
        weight_bytes: of the weights that each logs at its end.
        tags: of what they run on.
    """

    folder: Path
    address: str
    seconds: float
    weight_bytes: int
    tags: dict[str, str]


class _CountedClient:
    """A client of MLflow whose calls are counted."""

    def __init__(self, client: Any) -> None:
        self._client, self.calls = client, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return method(*arguments, **named)

        return call


class MeasuredSender(JournalSender):
    """The sender of a run, which tells how long the store took and what it refused."""

    def send_and_measure(self) -> dict[str, Any]:
        """Send what is pending: seconds, calls of MLflow's client, and what was wrong."""
        before, began = self._count(), time.monotonic()
        self.send()
        seconds = time.monotonic() - began
        return {"seconds": seconds, "calls": self._count() - before, "problem": str(self.problem or "")}

    def _connect(self) -> Any:
        return _CountedClient(super()._connect())

    def _count(self) -> int:
        client: Any = self._client
        return 0 if client is None else int(client.calls)


def measure_folds(folder: Path, address: str, number: int, seconds: float, weight_bytes: int) -> dict[str, Any]:
    """Let processes log at once; returns what the store took, see `summarize`.

    Args:
        folder: takes the folders of the runs.
        address: of the store.
        number: of processes.
        seconds: how long they log epochs.
        weight_bytes: of the weights that each logs at its end.
    """
    parent = TrackedRun(folder, address, EXPERIMENT, f"{number} folds")
    parent.start()
    JournalSender(folder).send()
    told = Told(folder, address, seconds, weight_bytes, describe_environment("cpu"))
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    together: Any = context.Barrier(number + 1, timeout=PATIENCE)
    processes = [context.Process(target=run_fold, args=(told, index, together)) for index in range(number)]
    try:
        for process in processes:
            process.start()
        used = []
        with suppress(BrokenBarrierError):  # one of them failed
            together.wait()
            for _ in range(2):
                together.wait()
                used.append(look([process.pid or 0 for process in processes]))
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise UserError(f"{len(failed)} of {number} processes that log to {address} failed; their errors are above")
    found = summarize([json.loads((folder / f"fold_{index}" / "measured.json").read_text()) for index in range(number)])
    return found | compare(used[0], used[1], found["epochs"])


def run_fold(told: Told, number: int, together: Barrier) -> None:
    """Log what a fold logs; where that fails, the others, which would wait for it, fail too."""
    try:
        _log_fold(told, number, together)
    except BaseException:
        together.abort()
        raise


def _log_fold(told: Told, number: int, together: Barrier) -> None:
    """Log a beginning, epoch after epoch, an end; all processes begin and end their epochs together."""
    folder = told.folder / f"fold_{number}"
    dataset = RunDataset("phantom", "0123456789abcdef", "training")
    run = TrackedRun(folder, told.address, EXPERIMENT, f"fold {number}", told.folder, dataset=dataset)
    sender = MeasuredSender(folder)
    together.wait()
    run.start()
    run.journal.log_params({f"parameter_{index}": index for index in range(PARAMETERS)})
    run.journal.set_tags({**told.tags, "fold": number})
    begin = sender.send_and_measure()
    together.wait()
    epochs: list[dict[str, Any]] = []
    began = time.monotonic()
    ends = began + told.seconds
    while time.monotonic() < ends:
        epoch = len(epochs) + 1
        run.journal.log_metrics({f"system/{name}": float(epoch) for name in SAMPLED}, epoch)
        run.journal.log_metrics(dict.fromkeys((*METRICS, *TIMES), 1 / epoch), epoch)
        epochs.append(sender.send_and_measure())
    lasted = time.monotonic() - began
    together.wait()
    _log_end(run, folder, told.weight_bytes)
    end = sender.send_and_measure()
    write_json(folder / "measured.json", {"begin": begin, "epochs": epochs, "end": end, "seconds": lasted})


def _log_end(run: TrackedRun, folder: Path, weight_bytes: int) -> None:
    """Log what training and evaluation leave: the weights, figures, numbers, the status."""
    files = {"weights": [folder / "model.safetensors"], "figures": []}
    files["figures"] = [folder / f"figure_{index}.png" for index in range(FIGURES)]
    for path in files["weights"]:
        path.touch()
        os.truncate(path, weight_bytes)
    for path in files["figures"]:
        path.write_bytes(bytes(FIGURE_BYTES))
    run.journal.log_summary({f"test/metric_{index}": 0.5 for index in range(EVALUATED)})
    for place, paths in files.items():
        for path in paths:
            run.journal.log_artifact(path, place)
    run.journal.set_status("FINISHED")


def summarize(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what the processes measured.

    Args:
        folds: what each wrote: ``begin``, ``epochs`` and ``end`` with seconds, calls and problem, and the ``seconds``
            that all its epochs took.
    """
    taken = [epoch for fold in folds for epoch in fold["epochs"] if not epoch["problem"]]
    sent = [*(epoch for fold in folds for epoch in fold["epochs"]), *(fold[part] for fold in folds for part in PARTS)]
    problems = [one["problem"] for one in sent if one["problem"]]
    lasted = max(fold["seconds"] for fold in folds)
    return {
        "folds": len(folds),
        "seconds": lasted,
        "epochs": len(taken),
        "epochs_per_second": len(taken) / lasted,
        "calls_per_second": sum(epoch["calls"] for fold in folds for epoch in fold["epochs"]) / lasted,
        "epoch": _describe([epoch["seconds"] for fold in folds for epoch in fold["epochs"]]),
        **{part: _describe([fold[part]["seconds"] for fold in folds]) for part in PARTS},
        "refused": len(problems),
        "locked": sum(LOCKED in problem for problem in problems),
        "problems": sorted(set(problems))[:3],
    }


PARTS = ("begin", "end")


def _describe(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(seconds), "longest": max(seconds)}
