"""Jobs of a Slurm cluster: one array for all folds that are submitted together.

submitit writes the batch scripts, starts a fold again after a preemption or at its time limit, and keeps the logs. Own
code asks which jobs live: submitit asks ``sacct``, which clusters without accounting do not have.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import say
from medmamba_monai.cross_validation.launchers import fold_task
from medmamba_monai.cross_validation.launchers.watch import LOOK_SECONDS, Job
from medmamba_monai.cross_validation.options import CrossValidationOptions

EXTRA = "medmamba-monai[cluster]"
_LISTED = re.compile(r"- (\w+) \(default")
"""A parameter as submitit lists it, one a line with its default, where it is given another."""
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


class Slurm:
    """The scheduler, see `Scheduler`.

    Args:
        folder: of the run that the jobs are named after, which all nodes see at the same place.
        options: what each fold is given.
    """

    title = "Slurm"
    at_once: int | None = None

    def __init__(self, folder: RunFolder, options: SlurmOptions) -> None:
        self.options, self._name, self._logs = options, folder.path.name, folder.job_logs("slurm")
        self.gpus, self.logs = options.gpus, str(self._logs)

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit jobs as an array; returns their names, ``123_4`` each.

        Raises:
            UserError: submitit is missing, or Slurm does not take the jobs.
        """
        files = [str(RunFolder(job.directory).job) for job in jobs]
        try:
            import cloudpickle
            import submitit
        except ImportError as error:
            raise UserError(f"--launcher slurm: needs submitit, which is missing: pip install '{EXTRA}'") from error
        cloudpickle.register_pickle_by_value(fold_task)
        try:
            return [str(job.job_id) for job in self._make_executor(submitit).map_array(fold_task.FoldTask(), files)]
        except ValueError as error:
            known = ", ".join(_LISTED.findall(str(error)))
            said = f"{get_first_line(error)}; known are {known}" if known else str(error)
            raise UserError(f"--slurm_parameters {self.options.parameters}: {said}") from error
        except (subprocess.CalledProcessError, RuntimeError) as error:
            raise UserError(f"--launcher slurm: the jobs were not taken: {error}") from error

    def _make_executor(self, submitit: Any) -> Any:
        executor = submitit.SlurmExecutor(self._logs, max_num_timeout=MOST_TIME_LIMITS)
        options = self.options
        asked: dict[str, Any] = {
            "job_name": self._name,
            "time": options.minutes,
            "cpus_per_task": options.cpus,
            "partition": options.partition,
            "gpus_per_node": options.gpus or None,
            "array_parallelism": options.at_once,
            **options.parameters,
        }
        executor.update_parameters(**{name: value for name, value in asked.items() if value is not None})
        return executor

    def list_jobs(self) -> dict[str, str]:
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
                if told:
                    say("Slurm answers again")
                return dict(_read_job(line) for line in answer.stdout.splitlines() if line.strip())
            if not told:
                say(f"Slurm does not answer and is asked again: {answer.stderr.strip()}")
                told = True
            time.sleep(LOOK_SECONDS)

    def cancel(self, names: Sequence[str]) -> str:
        """End jobs; returns what ``scancel`` said against it."""
        answer = subprocess.run(["scancel", *names], capture_output=True, text=True)
        return answer.stderr.strip() if answer.returncode else ""

    def describe_cancelling(self, names: Sequence[str]) -> str:
        """Say how a user ends jobs."""
        return f"scancel {' '.join(names)}"

    def describe_loss(self, name: str) -> str:
        """Say where to look for the reason."""
        return f"logs: {self.logs}"


def _read_job(line: str) -> tuple[str, str]:
    """Return the name of a job and its state, with the reason for which it waits."""
    name, state, reason = line.split("|")
    return name, state.lower() if reason == "None" else f"{state.lower()} ({reason})"
