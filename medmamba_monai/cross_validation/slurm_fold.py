"""A fold as a job of Slurm: what runs on the node that the scheduler chose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder

_PATIENCE = 120.0
"""Seconds that a signal which ended the fold may take to reach this process, too."""


class FoldTask:
    """The task of a job, which submitit sends to a node and starts again there after a preemption.

    The fold runs in a process of its own: signals of the scheduler that mean "go on elsewhere" are submitit's, and a
    fold that they end goes on after its last epoch.
    """

    def __call__(self, job_file: str) -> int:
        """Run a fold and leave its exit code beside its job file, where who waits for it looks.

        Args:
            job_file: what `fold_process` is told.
        """
        path = Path(job_file)
        folder = RunFolder(path.parent)
        folder.exit_code.unlink(missing_ok=True)
        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            _go_on(path)
        code = subprocess.run([sys.executable, "-m", "medmamba_monai.cross_validation", job_file]).returncode
        if code == -signal.SIGUSR2:  # the job is being requeued; this process hears of it now
            time.sleep(_PATIENCE)
        write_json(folder.exit_code, {"job": name_job(), "code": code})
        return code

    def checkpoint(self, job_file: str) -> object:
        """Return what is to run after a preemption or a time limit: the same, which goes on by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job_file)


def name_job() -> str:
    """Return the name of the job that this process belongs to, such as ``123_4``; empty outside Slurm."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


def _go_on(path: Path) -> None:
    """Let a fold that was to begin afresh go on, since it has begun."""
    job = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**job, "overrides": {**job["overrides"], "resume": True}})
