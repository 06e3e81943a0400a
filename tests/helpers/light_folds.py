"""Folds as jobs of a Slurm, watched by a thread; a light program stands for each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers.slurm import Slurm, SlurmOptions
from medmamba_monai.cross_validation.launchers.watch import WatchedJobs, read_job_name
from tests.helpers.cluster_runs import wait_until
from tests.helpers.local_jobs import make_job, read_job, replace_fold_process
from tests.helpers.slurm import SmallSlurm


class LightFolds:
    """Folds that begin, and end when they may.

    Args:
        slurm: that runs them.
        folder: of the run.
        exit_codes: one for each fold.
        options: what is asked of Slurm.

    Attributes:
        codes: the exit codes of those that have ended, by fold.
    """

    def __init__(self, slurm: SmallSlurm, folder: Path, exit_codes: tuple[int, ...], options: SlurmOptions) -> None:
        self.slurm = slurm
        self.scheduler = Slurm(RunFolder(folder), options)
        self.jobs = [make_job(folder, fold, code) for fold, code in enumerate(exit_codes)]
        self.codes: dict[int, int] = {}
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def name(self, fold: int) -> str:
        """The name of a fold's job."""
        return str(read_job_name(RunFolder(self.jobs[fold].directory)))

    def goes_on(self, fold: int) -> bool:
        """Whether a fold was told to go on where it was."""
        return read_job(self.jobs[fold])["overrides"] == {"resume": True}

    def wait_begun(self) -> None:
        """Wait until all have begun."""
        for job in self.jobs:
            wait_until((job.directory / "began").exists)

    def wait_queued_again(self, fold: int, seconds: float = 90) -> None:
        """Wait until a job is in the queue again."""
        wait_until(lambda: self.scheduler.list_jobs().get(self.name(fold), "").startswith("pending"), seconds)

    def begin_again(self, fold: int) -> None:
        """Wait until a job is in the queue again, and then until its fold has begun."""
        self.wait_queued_again(fold)
        began = self.jobs[fold].directory / "began"
        began.unlink()
        time.sleep(3)  # a node takes no credential that is as old as the one it revoked
        self.slurm.hurry(self.name(fold))
        wait_until(began.exists)

    def let_end(self, *folds: int) -> None:
        """Let folds end."""
        for fold in folds:
            (self.jobs[fold].directory / "may_end").touch()

    def wait(self) -> dict[int, int]:
        """Wait until who watches has heard of all; returns the exit codes."""
        self._watching.join(240)
        assert not self._watching.is_alive(), "a fold has not answered"
        return self.codes

    def _watch(self) -> None:
        WatchedJobs(self.scheduler).run(self.jobs, lambda job, code: self.codes.update({job.fold: code}))


@contextmanager
def run_light_folds(
    slurm: SmallSlurm, folder: Path, exit_codes: tuple[int, ...] = (0,), minutes: int = 240
) -> Iterator[LightFolds]:
    """Run folds while the block runs, which sees to it that they end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(replace_fold_process(folder / "python"))
        for name, value in slurm.variables.items():
            patch.setenv(name, value)
        yield LightFolds(slurm, folder, exit_codes, SlurmOptions(cpus=1, minutes=minutes))
