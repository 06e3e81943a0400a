"""Several cross-validations whose folds run together: other networks, and repetitions with other seeds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals, interrupt, leave_if_stopped
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
            _run_folds(scheduler, runs)
            return [failure for run in runs if (failure := _conclude(run, time.time() - began))]
        except BaseException as error:
            for run in runs:
                run.record_end(error)
            leave_if_stopped(error)
            raise


def _run_folds(scheduler: Scheduler, runs: Sequence[RunningFolds]) -> None:
    owners = {}
    jobs = []
    for run in runs:
        made = run.make_cluster_jobs(run.list_unfinished(), scheduler.gpus)
        owners.update({job.directory: run for job in made})
        jobs += made
    afresh = any(run.plan.starts_afresh for run in runs)
    WatchedJobs(scheduler).run(jobs, lambda job, code: owners[job.directory].note_end(job, code), afresh)


def _conclude(run: RunningFolds, seconds: float) -> str:
    """Review and end a cross-validation; returns what is wrong with it, nothing of one that is well."""
    try:
        run.conclude(seconds)
        run.finish()
    except UserError as error:
        run.record_end(error)
        return f"{run.plan.options.run_name}: {error}"
    return ""
