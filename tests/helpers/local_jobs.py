"""A scheduler for tests: submitit's executor of this machine, and in place of a fold's process a light program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.launchers.slurm import Slurm, SlurmOptions

PROGRAM = """
import json, pathlib, sys, time
job = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(sys.argv[1]).parent
(folder / "began").touch()
while not (folder / "may_end").exists():
    time.sleep(0.02)
sys.exit(job["code"])
"""


def replace_fold_process(folder: Path) -> str:
    """Write what ``python -m medmamba_monai.cross_validation`` is to find; returns where it is to be started.

    The fold says that it ``began``, waits until it ``may_end``, and ends with the ``code`` of its job.
    """
    package = folder / "medmamba_monai" / "cross_validation"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    return str(folder)


class _Executor(submitit.LocalExecutor):
    """Keeps the jobs that it starts, by name."""

    def __init__(self, folder: Path, jobs: dict[str, submitit.Job[int]]) -> None:
        super().__init__(folder)
        self.jobs = jobs

    def map_array(self, function: Any, *arguments: Any) -> list[Any]:
        """Start a job for each argument."""
        started = super().map_array(function, *arguments)
        self.jobs |= {job.job_id: job for job in started}
        return started


class LocalJobs(Slurm):
    """Jobs that submitit runs here, with everything of `Slurm` that does not ask Slurm."""

    def __init__(self, folder: Path, at_once: int | None = None) -> None:
        super().__init__(RunFolder(folder), SlurmOptions())
        self.at_once = at_once
        self.jobs: dict[str, submitit.Job[int]] = {}
        self.most = 0

    def _make_executor(self, submitit: Any) -> _Executor:
        return _Executor(self._logs, self.jobs)

    def list_jobs(self) -> dict[str, str]:
        """Those that have not ended."""
        alive = {name: "running" for name, job in self.jobs.items() if not job.done()}
        self.most = max(self.most, len(alive))
        return alive

    def cancel(self, names: Sequence[str]) -> str:
        """Interrupt them."""
        for name in names:
            self.jobs[name].cancel()
        return ""


def make_job(folder: Path, fold: int, code: int = 0) -> FoldJob:
    """A fold that ends with a code."""
    directory = RunFolder(folder).fold(fold).path
    directory.mkdir()
    return FoldJob(fold, directory, {"code": code, "overrides": {"resume": False}})


def read_job(job: FoldJob) -> dict[str, object]:
    """What the process of a fold was told."""
    content: dict[str, object] = json.loads(RunFolder(job.directory).job.read_text())
    return content
