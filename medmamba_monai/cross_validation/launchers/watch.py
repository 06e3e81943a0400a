"""Folds, and what else runs elsewhere, as jobs of a scheduler, watched until every one has answered.

Which jobs live is the scheduler's to say; with what exit code a fold ended stands in a file of the fold, and which job
it was given to in another. Both outlive this process: started again, it finds the jobs that it left.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say

LOOK_SECONDS = 2.0
PATIENCE = 60.0
"""Seconds that the exit code of a job that is gone may take to appear on a shared file system."""


class Job(Protocol):
    """What is run elsewhere, such as a `FoldJob`.

    Attributes:
        directory: its folder, where its job file is.
        content: what its process is told.
    """

    directory: Path
    content: dict[str, Any]

    @property
    def title(self) -> str:
        """Its name in what a user is told."""
        ...


AnyJob = TypeVar("AnyJob", bound=Job)


class Scheduler(Protocol):
    """What runs jobs on other machines, and starts again those whose machine failed.

    Attributes:
        title: its name for readers.
        gpus: number of GPUs of a fold; 0 for the CPU.
        at_once: how many jobs to submit at a time; None where the scheduler itself keeps to a limit, or for all.
        logs: where what the jobs print is found.
    """

    title: str
    gpus: int
    at_once: int | None
    logs: str

    def list_jobs(self) -> dict[str, str]:
        """Return the state of every job that waits or runs, by its name."""
        ...

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit jobs, whose job files are written; returns their names."""
        ...

    def cancel(self, names: Sequence[str]) -> str:
        """End jobs; returns why some were not ended, nothing where all were."""
        ...

    def describe_cancelling(self, names: Sequence[str]) -> str:
        """Say how a user ends jobs."""
        ...

    def describe_loss(self, name: str) -> str:
        """Say what is known of a job that is gone and left no answer."""
        ...


class WatchedJobs(Generic[AnyJob]):
    """The jobs of folds, of one cross-validation or of several, or others.

    Args:
        scheduler: that runs them.

    Attributes:
        began: when each job was first seen at work, as `time.monotonic` tells it, by the folder of its fold.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.began: dict[Path, float] = {}
        self._said: dict[str, str] = {}
        self._missing_since: dict[str, float] = {}

    def run(
        self,
        waiting: Sequence[AnyJob],
        on_end: Callable[[AnyJob, int], None],
        afresh: bool = False,
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        """Submit the folds whose jobs are not at work already, and wait for all.

        Ctrl-C cancels the jobs. Where this process is ended otherwise, they go on; the same command finds them.

        Args:
            waiting: the folds.
            on_end: told each fold that ended and its exit code (negative: the signal that killed it).
            afresh: whether the folds are trained anew, so that no earlier job may be at work.
            on_look: called whenever the jobs were looked at; what it raises cancels those that are left, and comes out
                when they are gone.

        Raises:
            UserError: the scheduler does not take the jobs, or earlier jobs are at work and `afresh`.
        """
        running = self._find_earlier(waiting, afresh)
        queue = [job for job in waiting if job not in running.values()]
        try:
            while running or queue:
                running |= self._submit(queue, len(running))
                for name, code in self._look(running):
                    on_end(running.pop(name), code)
                if running:
                    self._ask_who_waits(on_look, list(running))
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt as stop:
            self._stop(list(running), stop)
            raise

    def end_earlier(self, jobs: Sequence[AnyJob]) -> None:
        """End what is still at work for an earlier start, and wait until it is gone."""
        before = {read_job_name(RunFolder(job.directory)) for job in jobs}
        if alive := [name for name in self.scheduler.list_jobs() if name in before]:
            self._cancel(alive)
            self._wait_until_gone(alive)

    def _find_earlier(self, waiting: Sequence[AnyJob], afresh: bool) -> dict[str, AnyJob]:
        """Return the jobs of an earlier start that live, by name."""
        before = {name: job for job in waiting if (name := read_job_name(RunFolder(job.directory))) is not None}
        alive = self.scheduler.list_jobs()
        found = {name: job for name, job in before.items() if name in alive}
        if found and afresh:
            raise UserError(
                f"the folds are at work as the jobs {', '.join(found)}, so that they cannot begin afresh; end them "
                f"first: {self.scheduler.describe_cancelling(list(found))}"
            )
        for name, job in found.items():
            say(f"{job.title}: its job {name} is in the queue already ({alive[name]})")
        return found

    def _submit(self, queue: list[AnyJob], running: int) -> dict[str, AnyJob]:
        """Submit as many of the queue as may run."""
        limit = self.scheduler.at_once
        jobs = queue if limit is None else queue[: max(limit - running, 0)]
        if not jobs:
            return {}
        for job in jobs:
            folder = RunFolder(job.directory)
            folder.exit_code.unlink(missing_ok=True)
            write_json(folder.job, job.content)
        names = self.scheduler.submit(jobs)
        for job, name in zip(jobs, names, strict=True):
            write_json(RunFolder(job.directory).cluster_job, {"job": name})
        say(f"jobs of {self.scheduler.title}: {', '.join(names)}; their logs: {self.scheduler.logs}")
        submitted = dict(zip(names, jobs, strict=True))
        del queue[: len(submitted)]
        return submitted

    def _look(self, running: dict[str, AnyJob]) -> list[tuple[str, int]]:
        """Return the jobs that ended since the last look, with their exit codes."""
        alive = self.scheduler.list_jobs()
        ended = []
        for name, job in running.items():
            if name in alive:
                self._missing_since.pop(name, None)
                self._tell(job, name, alive[name])
            elif (code := read_exit_code(RunFolder(job.directory), name)) is not None:
                ended.append((name, code))
            elif time.monotonic() - self._missing_since.setdefault(name, time.monotonic()) > PATIENCE:
                say(f"{job.title}: its job {name} is gone and gave no answer; {self.scheduler.describe_loss(name)}")
                ended.append((name, -signal.SIGKILL))
        return ended

    def _tell(self, job: AnyJob, name: str, state: str) -> None:
        if state.startswith("running"):
            self.began.setdefault(job.directory, time.monotonic())
        if self._said.get(name) != state:
            self._said[name] = state
            say(f"{job.title}: job {name} is {state}")

    def _stop(self, names: Sequence[str], stop: KeyboardInterrupt) -> None:
        if stop.args:  # a signal other than Ctrl-C, see `interrupt`
            say(f"the jobs {', '.join(names)} go on; the same command finds them")
        elif names:
            self._cancel(names)

    def _ask_who_waits(self, on_look: Callable[[], None], running: Sequence[str]) -> None:
        try:
            on_look()
        except Exception:  # it comes out again: jobs that nobody waits for any more are cancelled, whatever the reason
            self._cancel(running)
            self._wait_until_gone(running)
            raise

    def _cancel(self, names: Sequence[str]) -> None:
        if problem := self.scheduler.cancel(names):
            later = self.scheduler.describe_cancelling(names)
            say(f"jobs may go on, as they were not cancelled ({problem}); end them later: {later}")
        else:
            say(f"cancelled: {', '.join(names)}")

    def _wait_until_gone(self, names: Collection[str]) -> None:
        ends = time.monotonic() + PATIENCE
        while any(name in names for name in self.scheduler.list_jobs()) and time.monotonic() < ends:
            time.sleep(LOOK_SECONDS)


def read_job_name(folder: RunFolder) -> str | None:
    """Return the job that a fold was given to last; None where it never had one."""
    path = folder.cluster_job
    return str(json.loads(path.read_text(encoding="utf-8"))["job"]) if path.is_file() else None


def read_exit_code(folder: RunFolder, name: str) -> int | None:
    """Return with what a job of a fold ended; None where it has not said so."""
    if not folder.exit_code.is_file():
        return None
    answer = json.loads(folder.exit_code.read_text(encoding="utf-8"))
    return int(answer["code"]) if answer["job"] == name else None
