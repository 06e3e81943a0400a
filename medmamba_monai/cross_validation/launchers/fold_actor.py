"""The actor of a fold on a node of Ray; by value, and with the standard library alone, as `fold_task`."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from medmamba_monai.cross_validation.launchers.fold_task import run_fold


class FoldActor:
    """Runs the process of a fold in a thread, so that it can be asked where it is; ends when the fold has ended.

    Args:
        job_file: what `fold_process` is told.
        log_file: takes what the process prints.
        name: of the job.

    Raises:
        FileNotFoundError: this node does not see the folder of the fold.
    """

    def __init__(self, job_file: str, log_file: str, name: str) -> None:
        import ray

        if not Path(job_file).is_file():
            raise FileNotFoundError(f"node {socket.gethostname()} does not see {job_file}: folders must be shared")
        again = ray.get_runtime_context().was_current_actor_reconstructed
        threading.Thread(target=self._run, args=(job_file, log_file, name, again), daemon=True).start()

    def describe(self) -> str:
        """Say where the job is at work."""
        import ray

        context = ray.get_runtime_context()
        again = " again" if context.was_current_actor_reconstructed else ""
        return f"running{again} on {socket.gethostname()} (node {context.get_node_id()[:8]})"

    def _run(self, job_file: str, log_file: str, name: str, again: bool) -> None:
        import ray

        with Path(log_file).open("a", encoding="utf-8") as output:
            run_fold(job_file, name, again, output)
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
