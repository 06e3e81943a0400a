"""A fold as a job of a cluster: what runs on the node that the scheduler chose, beside the process of the fold.

It uses the standard library alone and is sent to the node by value, so that what waits for a fold does not import what
the fold needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

_PATIENCE = 120.0
"""Seconds that a signal which ended the fold may take to reach this process, too."""


class FoldTask:
    """The task of a job of Slurm, which submitit sends to a node and starts again there after a preemption.

    The fold runs in a process of its own: signals of the scheduler that mean "go on elsewhere" are submitit's, and a
    fold that they end goes on after its last epoch.
    """

    def __call__(self, job_file: str) -> int:
        """Run a fold and leave its exit code beside its job file, where who waits for it looks.

        Args:
            job_file: what `fold_process` is told.
        """
        return run_fold(job_file, name_job(), os.environ.get("SLURM_RESTART_COUNT", "0") != "0")

    def checkpoint(self, job_file: str) -> object:
        """Return what is to run after a preemption or a time limit: the same, which goes on by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job_file)


def name_job() -> str:
    """Return the name of the job that this process belongs to, such as ``123_4``; empty outside submitit."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    alone = os.environ.get("SLURM_JOB_ID") or os.environ.get("SUBMITIT_LOCAL_JOB_ID", "")
    return f"{array}_{task}" if array else alone


def run_fold(job_file: str, name: str, again: bool, output: TextIO | None = None) -> int:
    """Run the process of a fold and leave its exit code beside its job file.

    Args:
        job_file: what `fold_process` is told, or what another ``program`` is, where it names one.
        name: of the job.
        again: whether the job had begun before, so that the fold goes on.
        output: takes what the process prints; None for what this process prints to.
    """
    path = Path(job_file)
    answer = path.with_name("exit_code.json")
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-m", _prepare(path, again), job_file]
    code = subprocess.run(command, stdout=output, stderr=output and subprocess.STDOUT).returncode
    if code == -signal.SIGUSR2:  # the job is being requeued; this process hears of it now
        time.sleep(_PATIENCE)
    _write(answer, {"job": name, "code": code})
    return code


def _prepare(path: Path, again: bool) -> str:
    """Tell the process whose end is its own, and a fold that was to begin afresh to go on once it has begun.

    Returns:
        The module that is run.
    """
    job = json.loads(path.read_text(encoding="utf-8"))
    resumed = {"overrides": {**job["overrides"], "resume": True}} if again and "overrides" in job else {}
    _write(path, {**job, **resumed, "parent_pid": os.getpid()})
    return str(job.get("program", "medmamba_monai.cross_validation"))


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a file in one step."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(json.dumps(content), encoding="utf-8")
    half.replace(path)
