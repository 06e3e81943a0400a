"""Jobs of a Ray cluster, for machines without a scheduler: one detached actor a fold.

A detached actor outlives who made it, and Ray makes it again on another node when its own is gone; made again, it
starts the process of its fold again, which goes on after its last epoch. Ray's job API would do neither: its jobs end
with their node, and it needs Ray's dashboard.
"""

from __future__ import annotations

import logging
import secrets
import signal
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals
from medmamba_monai.cross_validation.launchers import fold_actor, fold_task
from medmamba_monai.cross_validation.launchers.watch import Job
from medmamba_monai.cross_validation.options import CrossValidationOptions

EXTRA = "medmamba-monai[ray]"
NAMESPACE = "medmamba-monai"
WAITING = "waiting for a node"


@dataclass(frozen=True)
class RayOptions:
    """What is asked of Ray for each fold.

    Attributes:
        address: of the cluster; ``auto`` finds the one that this machine belongs to.
        gpus: GPUs of a fold.
        cpus: CPU cores of a fold.
        at_once: how many folds may run at a time; None for as many as the cluster takes.
        resources: further resources of a fold, as the nodes were started with.
    """

    address: str = "auto"
    gpus: int = 0
    cpus: int = 2
    at_once: int | None = None
    resources: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, options: CrossValidationOptions) -> RayOptions:
        """Take what a cross-validation was told; ``jobs`` says how many folds may run at a time."""
        return cls(
            address=options.ray_address,
            gpus=options.ray_gpus,
            cpus=options.ray_cpus,
            at_once=None if isinstance(options.jobs, str) else options.jobs,
            resources=options.ray_resources,
        )


class Ray:
    """The scheduler, see `Scheduler`; it connects when it is first asked something.

    Args:
        folder: of the run that the jobs are named after, which all nodes see at the same place.
        options: what each fold is given.
    """

    title = "Ray"

    def __init__(self, folder: RunFolder, options: RayOptions) -> None:
        self.options, self._name, self._logs = options, folder.path.name, folder.job_logs("ray")
        self.gpus, self.at_once, self.logs = options.gpus, options.at_once, str(self._logs)
        self._asked: dict[str, Any] = {}
        self._states: dict[str, str] = {}

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Make an actor for each job; returns their names."""
        actor = self._connect().remote(fold_actor.FoldActor)
        self._logs.mkdir(parents=True, exist_ok=True)
        names = [f"{self._name}-{job.directory.name}-{secrets.token_hex(4)}" for job in jobs]
        for job, name in zip(jobs, names, strict=True):
            asked = {"num_cpus": self.options.cpus, "num_gpus": self.options.gpus, "resources": self.options.resources}
            lasting = {"lifetime": "detached", "namespace": NAMESPACE, "max_restarts": -1}
            files = str(RunFolder(job.directory).job), str(self._logs / f"{name}.txt")
            actor.options(name=name, **lasting, **asked).remote(*files, name)
        return names

    def list_jobs(self) -> dict[str, str]:
        """Return the state of every job that waits or runs, by its name.

        Raises:
            UserError: Ray is missing, or there is no cluster.
        """
        ray = self._connect()
        from ray.util import list_named_actors

        names = [actor["name"] for actor in list_named_actors(all_namespaces=True) if actor["namespace"] == NAMESPACE]
        return {name: self._ask(ray, name) for name in names}

    def cancel(self, names: Sequence[str]) -> str:
        """End jobs; the process of a fold sees that what it belongs to is gone, and stops."""
        ray = self._connect()
        for name in set(names) & set(self.list_jobs()):
            ray.kill(ray.get_actor(name, NAMESPACE), no_restart=True)
        return ""

    def describe_cancelling(self, names: Sequence[str]) -> str:
        """Say how a user ends jobs."""
        return "start the command without --resume False and press Ctrl-C"

    def describe_loss(self, name: str) -> str:
        """Say what the job said last, and where to look."""
        return f"{self._ask(self._connect(), name)}; logs: {self.logs}"

    def _ask(self, ray: Any, name: str) -> str:
        """Return where a job is at work; an answer is taken when it is there, and a new question asked."""
        try:
            if name not in self._asked:
                self._asked[name] = ray.get_actor(name, NAMESPACE).describe.remote()
            if ray.wait([self._asked[name]], timeout=0)[0]:
                self._states[name] = ray.get(self._asked.pop(name))
        except (ray.exceptions.RayError, ValueError) as error:  # it is being made again, or it is gone
            self._asked.pop(name, None)
            self._states[name] = f"{WAITING} ({str(error).strip().splitlines()[-1].strip()})"
        return self._states.setdefault(name, WAITING)

    def _connect(self) -> Any:
        try:
            import ray
        except ImportError as error:
            raise UserError(f"--launcher ray: needs Ray, which is missing: pip install '{EXTRA}'") from error
        if ray.is_initialized():
            return ray
        ray.cloudpickle.register_pickle_by_value(fold_task)
        ray.cloudpickle.register_pickle_by_value(fold_actor)
        try:
            # Ray sets handlers of its own, which end with the block
            with catch_signals(STOP_SIGNALS, signal.default_int_handler), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(self.options.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"--ray_address {self.options.address}: no Ray cluster answers ({get_first_line(error)}); start one "
                "with ray start --head, and ray start --address=HOST:6379 on each other node"
            ) from error
        return ray
