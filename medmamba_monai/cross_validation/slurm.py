"""Folds as jobs of a Slurm cluster: one array, watched until every fold has answered.

submitit writes the batch scripts, starts a fold again after a preemption or at its time limit, and keeps the logs. Own
code is what watches: submitit asks ``sacct``, which clusters without accounting do not have, so that ``squeue`` tells
which jobs live, and a file of the fold with what exit code it ended. Both outlive this process: started again, it finds
the jobs that it left.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation.fold_jobs import FoldJob
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.slurm_fold import FoldTask

EXTRA = "medmamba-monai[cluster]"
LOOK_SECONDS = 2.0
PATIENCE = 60.0
"""Seconds that the exit code of a job that left the queue may take to appear on a shared file system."""
MOST_TIME_LIMITS = 1000
"""How often a fold may reach its time limit and go on; each time it has trained for that long."""


@dataclass(frozen=True)
class SlurmOptions:
    """What is asked of the scheduler for each fold.

    Attributes:
        partition: where; None for the cluster's default.
        gpus: GPUs of a fold.
        cpus: CPU cores of a fold.
        minutes: time limit, after which a fold is queued again and goes on.
        at_once: how many folds may run at a time; None for all.
        parameters: further parameters of ``sbatch`` as submitit names them, such as account, qos or mem.
    """

    partition: str | None = None
    gpus: int = 0
    cpus: int = 2
    minutes: int = 240
    at_once: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, options: CrossValidationOptions) -> SlurmOptions:
        """Take what a cross-validation was told; ``jobs`` says how many folds may run at a time."""
        return cls(
            partition=options.slurm_partition,
            gpus=options.slurm_gpus,
            cpus=options.slurm_cpus,
            minutes=options.slurm_minutes,
            at_once=None if isinstance(options.jobs, str) else options.jobs,
            parameters=options.slurm_parameters,
        )

    @property
    def device(self) -> str:
        """What a fold trains on where it runs."""
        return "cuda" if self.gpus else "cpu"


class SlurmFolds:
    """The jobs of a cross-validation.

    Args:
        folder: of the cross-validation, which all nodes see at the same place.
        options: what each fold is given.
    """

    def __init__(self, folder: RunFolder, options: SlurmOptions) -> None:
        self.folder, self.options = folder, options
        self._said: dict[str, str] = {}
        self._missing_since: dict[str, float] = {}

    def run(self, waiting: Sequence[FoldJob], on_end: Callable[[FoldJob, int], None], afresh: bool = False) -> None:
        """Submit the folds whose jobs are not in the queue already, and wait for all.

        Ctrl-C cancels the jobs. Where this process is ended otherwise, they go on; the same command finds them.

        Args:
            waiting: the folds.
            on_end: told each fold that ended and its exit code (negative: the signal that killed it).
            afresh: whether the folds are trained anew, so that no earlier job may be at work.

        Raises:
            UserError: submitit is missing, Slurm does not take the jobs, or earlier jobs are at work and `afresh`.
        """
        before = self._read_names()
        names = self._find_earlier(waiting, before, afresh)
        names |= self._submit([job for job in waiting if job.fold not in names])
        write_json(self.folder.slurm_jobs, {str(fold): name for fold, name in sorted({**before, **names}.items())})
        running = {names[job.fold]: job for job in waiting}
        say(f"folds as jobs of Slurm: {', '.join(running)}; their logs: {self.folder.slurm_logs}")
        try:
            while running:
                for name, code in self._look(running):
                    on_end(running.pop(name), code)
                if running:
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt as stop:
            self._stop(list(running), stop)
            raise

    def _read_names(self) -> dict[int, str]:
        """Return the last job of each fold that ever had one."""
        path = self.folder.slurm_jobs
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {int(fold): str(name) for fold, name in kept.items()}

    @staticmethod
    def _find_earlier(waiting: Sequence[FoldJob], before: dict[int, str], afresh: bool) -> dict[int, str]:
        """Return the jobs of an earlier start that live, by fold."""
        alive = list_jobs() if before else {}
        found = {job.fold: before[job.fold] for job in waiting if before.get(job.fold) in alive}
        if found and afresh:
            raise UserError(
                f"the folds are at work as the jobs {', '.join(found.values())}, so that they cannot begin afresh; end "
                f"them first: scancel {' '.join(found.values())}"
            )
        for fold, name in found.items():
            say(f"fold {fold}: its job {name} is in the queue already ({alive[name]})")
        return found

    def _submit(self, jobs: Sequence[FoldJob]) -> dict[int, str]:
        if not jobs:
            return {}
        for job in jobs:
            RunFolder(job.directory).exit_code.unlink(missing_ok=True)
            write_json(RunFolder(job.directory).job, job.content)
        files = [str(RunFolder(job.directory).job) for job in jobs]
        try:
            submitted = self._make_executor().map_array(FoldTask(), files)
        except (subprocess.CalledProcessError, RuntimeError, ValueError) as error:
            raise UserError(f"--launcher slurm: the jobs were not taken: {error}") from error
        return {job.fold: str(one.job_id) for job, one in zip(jobs, submitted, strict=True)}

    def _make_executor(self) -> Any:
        try:
            import submitit
        except ImportError as error:
            raise UserError(f"--launcher slurm: needs submitit, which is missing: pip install '{EXTRA}'") from error
        executor = submitit.SlurmExecutor(self.folder.slurm_logs, max_num_timeout=MOST_TIME_LIMITS)
        options = self.options
        asked: dict[str, Any] = {
            "job_name": self.folder.path.name,
            "time": options.minutes,
            "cpus_per_task": options.cpus,
            "partition": options.partition,
            "gpus_per_node": options.gpus or None,
            "array_parallelism": options.at_once,
            **options.parameters,
        }
        executor.update_parameters(**{name: value for name, value in asked.items() if value is not None})
        return executor

    def _look(self, running: dict[str, FoldJob]) -> list[tuple[str, int]]:
        """Return the jobs that ended since the last look, with their exit codes."""
        alive = list_jobs()
        ended = []
        for name, job in running.items():
            if name in alive:
                self._missing_since.pop(name, None)
                self._tell(job.fold, name, alive[name])
            elif (code := read_exit_code(RunFolder(job.directory), name)) is not None:
                ended.append((name, code))
            elif time.monotonic() - self._missing_since.setdefault(name, time.monotonic()) > PATIENCE:
                say(
                    f"fold {job.fold}: its job {name} left the queue and gave no answer; logs: {self.folder.slurm_logs}"
                )
                ended.append((name, -signal.SIGKILL))
        return ended

    def _tell(self, fold: int, name: str, state: str) -> None:
        if self._said.get(name) != state:
            self._said[name] = state
            say(f"fold {fold}: job {name} is {state}")

    def _stop(self, names: Sequence[str], stop: KeyboardInterrupt) -> None:
        if stop.args:  # a signal other than Ctrl-C, see `interrupt`
            say(f"the jobs {', '.join(names)} go on; the same command finds them")
        elif names:
            subprocess.run(["scancel", *names], check=False)
            say(f"cancelled: {', '.join(names)}")


def list_jobs() -> dict[str, str]:
    """Return the state of every job of this user that waits or runs, by its name (``123_4`` in an array).

    Where the scheduler does not answer, it is asked again until it does.

    Raises:
        UserError: there is no Slurm.
    """
    told = False
    while True:
        try:
            answer = subprocess.run(
                ["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r"], capture_output=True, text=True
            )
        except FileNotFoundError:
            raise UserError("--launcher slurm: this machine has no squeue; run it on a login node") from None
        if answer.returncode == 0:
            return dict(_read_job(line) for line in answer.stdout.splitlines() if line.strip())
        if not told:
            say(f"Slurm does not answer and is asked again: {answer.stderr.strip()}")
            told = True
        time.sleep(LOOK_SECONDS)


def _read_job(line: str) -> tuple[str, str]:
    """Return the name of a job and its state, with the reason for which it waits."""
    name, state, reason = line.split("|")
    return name, state.lower() if reason == "None" else f"{state.lower()} ({reason})"


def read_exit_code(folder: RunFolder, name: str) -> int | None:
    """Return with what a job of a fold ended; None where it has not said so."""
    if not folder.exit_code.is_file():
        return None
    answer = json.loads(folder.exit_code.read_text(encoding="utf-8"))
    return int(answer["code"]) if answer["job"] == name else None
