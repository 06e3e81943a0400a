"""Networks measured on a node of the cluster that is to train them: the job that does it, and who waits for it.

A login node is seldom as fast as the nodes behind it, and seldom has their GPU.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medmamba_monai.auto.fingerprint import Fingerprint
from medmamba_monai.auto.measure import Measured, measure
from medmamba_monai.auto.rules import Choice
from medmamba_monai.auto.take_fingerprint import describe_machine
from medmamba_monai.auto.words import describe_time
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError, format_error
from medmamba_monai.core.files import write_json
from medmamba_monai.core.signals import end_with_parent, say
from medmamba_monai.cross_validation.launchers.watch import Scheduler, WatchedJobs

FOLDER = "measuring"
"""Of the job, in the folder of a search."""

_ANSWER = "measured.json"


class _Task(BaseModel):
    """What the job is told."""

    bundle: Path
    seen: Fingerprint
    budget: float
    asked: tuple[int, str] | None
    training: dict[str, Any]


class _Answer(BaseModel):
    """What it found out: networks, or what the user can mend."""

    seen: Fingerprint | None = None
    image_size: tuple[int, str] = (0, "")
    batch_size: tuple[int, str] = (0, "")
    error: str = ""


@dataclass
class _MeasuringJob:
    directory: Path
    content: dict[str, Any]
    title: str = "measuring networks"


def measure_there(
    scheduler: Scheduler,
    output: Path,
    bundle: Path,
    seen: Fingerprint,
    budget: float,
    asked: Choice[int] | None,
    training: Mapping[str, Any],
    at_once: int = 1,
) -> Measured:
    """Measure networks as `measure` does, on a node of a cluster.

    Args:
        scheduler: that gives the node.
        output: folder of the search, which the node sees.
        bundle: folder of the bundle, likewise.
        seen: the dataset.
        budget: seconds of the whole search; no longer is waited for the node.
        asked: a size that was asked for.
        training: options that all trainings have.
        at_once: how many trainings are to run at a time.

    Raises:
        UserError: the job failed, or waited too long.
    """
    machine = seen.machine.model_copy(update={"cluster": scheduler.title, "at_once": at_once})
    training = {**training, "device": "cuda" if scheduler.gpus else "cpu"}
    task = _Task(
        bundle=bundle.absolute(),
        seen=seen.model_copy(update={"machine": machine}),
        budget=budget,
        asked=asked,
        training=training,
    )
    directory = output.absolute() / FOLDER
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _ANSWER).unlink(missing_ok=True)
    job = _MeasuringJob(directory, {"program": __name__, "task": task.model_dump(mode="json")})
    began = time.monotonic()

    def look() -> None:
        if time.monotonic() - began > budget:
            raise UserError(
                f"--budget {describe_time(budget)}: all of it went by while {scheduler.title} had no node to measure "
                f"networks on (logs: {scheduler.logs}); ask for less of the cluster, or give more time"
            )

    codes: list[int] = []
    watched = WatchedJobs[_MeasuringJob](scheduler)
    say(f"Measuring how fast networks train on a node of {scheduler.title} ...")
    watched.end_earlier([job])  # it measures what an earlier start asked for
    watched.run([job], lambda job, code: codes.append(code), on_look=look)
    return _read_answer(directory / _ANSWER, codes[0], scheduler)


def _read_answer(path: Path, code: int, scheduler: Scheduler) -> Measured:
    answer = read_document(path, _Answer) if path.is_file() else _Answer()
    if answer.error:
        raise UserError(answer.error)
    if code or answer.seen is None:
        raise UserError(
            f"networks could not be measured on a node of {scheduler.title} (exit code {code}); logs: {scheduler.logs}"
        )
    return Measured(answer.seen, Choice(*answer.image_size), Choice(*answer.batch_size))


def main(job_file: str) -> int:
    """Measure networks on this node, and leave what was found beside the job file.

    Args:
        job_file: says what to measure.

    Returns:
        0, or 2 for what the user can fix.
    """
    content = json.loads(Path(job_file).read_text(encoding="utf-8"))
    end_with_parent(int(content.get("parent_pid", os.getppid())))
    task = _Task(**content["task"])
    answer = _Answer()
    try:
        answer = _measure_here(task)
    except UserError as error:
        print(format_error(error), file=sys.stderr)
        answer = _Answer(error=str(error))
    write_json(Path(job_file).with_name(_ANSWER), answer.model_dump(mode="json"))
    return 2 if answer.error else 0


def _measure_here(task: _Task) -> _Answer:
    planned = task.seen.machine
    there = {"cluster": planned.cluster, "at_once": planned.at_once}
    machine = describe_machine(task.training["device"]).model_copy(update=there)
    seen = task.seen.model_copy(update={"machine": machine})
    asked = None if task.asked is None else Choice(*task.asked)
    found = measure(task.bundle, seen, task.budget, asked, task.training)
    return _Answer(seen=found.seen, image_size=found.image_size, batch_size=found.batch_size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
