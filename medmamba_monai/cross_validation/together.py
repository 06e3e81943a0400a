"""Several cross-validations whose folds run together: other networks, and repetitions with other seeds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals, interrupt, leave_if_stopped
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_server import open_fold_server
from medmamba_monai.cross_validation.launchers import WatchedJobs, make_scheduler
from medmamba_monai.cross_validation.launchers.watch import Scheduler
from medmamba_monai.cross_validation.plan import Plan
from medmamba_monai.cross_validation.running import RunningFolds, open_folds


def run_together(plans: Sequence[Plan], folder: Path) -> None:
    """Run cross-validations: on a cluster the folds of all at once, as ``jobs`` bounds them; here one after the other.

    One that fails does not end the others.

    Args:
        plans: of the cross-validations, with the same launcher.
        folder: of what they have in common: the logs of their jobs.

    Raises:
        UserError: a folder is in use or does not fit, or a fold of any of them failed.
    """
    scheduler = make_scheduler(plans[0].options, RunFolder(folder))
    failures = _run_here(plans) if scheduler is None else _run_on(scheduler, plans)
    if failures:
        raise UserError("\n".join(failures))


def _run_here(plans: Sequence[Plan]) -> list[str]:
    failures = []
    with open_fold_server() as server:
        for plan in plans:
            try:
                with open_folds(plan) as running:
                    running.run(server)
            except UserError as error:
                failures.append(f"{plan.options.run_name}: {error}")
    return failures


def _run_on(scheduler: Scheduler, plans: Sequence[Plan]) -> list[str]:
    with contextlib.ExitStack() as held, catch_signals(STOP_SIGNALS[1:], interrupt):
        runs = [held.enter_context(open_folds(plan)) for plan in plans]
        began = time.time()
        try:
            for run in runs:
                run.begin()
            run_parts(scheduler, [Part(run, run.list_unfinished()) for run in runs])
            return [failure for run in runs if (failure := _conclude(run, time.time() - began))]
        except BaseException as error:
            for run in runs:
                run.record_end(error)
            leave_if_stopped(error)
            raise


@dataclass(frozen=True)
class Part:
    """Folds of a cross-validation that are to be run.

    Attributes:
        run: the cross-validation.
        folds: numbers of the folds.
        changes: options of the training that are others this time, such as ``pause_after``.
    """

    run: RunningFolds
    folds: Sequence[int]
    changes: Mapping[str, Any] = field(default_factory=dict)


def run_parts(
    scheduler: Scheduler,
    parts: Sequence[Part],
    on_end: Callable[[FoldJob, float], None] = lambda job, seconds: None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Run folds of several cross-validations as jobs, all at once as far as the scheduler lets them.

    Args:
        scheduler: of the jobs.
        parts: the folds.
        on_end: told each fold that ended, and the seconds since it was first seen at work; their cross-validations
            know what became of them.
        on_look: called every few seconds; what it raises cancels the jobs.
    """
    owners = {}
    jobs = []
    for part in parts:
        made = part.run.make_cluster_jobs(part.folds, scheduler.gpus, **part.changes)
        owners.update({job.directory: part.run for job in made})
        jobs += made
    afresh = any(part.run.plan.starts_afresh for part in parts)
    watched, submitted = WatchedJobs[FoldJob](scheduler), time.monotonic()

    def note_end(job: FoldJob, code: int) -> None:
        owners[job.directory].note_end(job, code)
        on_end(job, time.monotonic() - watched.began.get(job.directory, submitted))

    watched.run(jobs, note_end, afresh, on_look)


def _conclude(run: RunningFolds, seconds: float) -> str:
    """Review and end a cross-validation; returns what is wrong with it, nothing of one that is well."""
    try:
        run.conclude(seconds)
        run.finish()
    except UserError as error:
        run.record_end(error)
        return f"{run.plan.options.run_name}: {error}"
    return ""
