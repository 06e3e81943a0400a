"""Processes of several folds at a time, each on a device of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_process import EXIT_USER_ERROR
from medmamba_monai.cross_validation.fold_server import FoldServer, ForkedFold
from medmamba_monai.cross_validation.slots import Slots

logger = logging.getLogger("medmamba_monai.training")

FoldProcess = subprocess.Popen[bytes] | ForkedFold


def run_jobs(
    waiting: list[FoldJob],
    slots: Slots,
    on_end: Callable[[FoldJob, int], None],
    server: FoldServer | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Run all jobs in the slots that there are; after an error that the user must fix, start no more.

    Args:
        waiting: the jobs, in order.
        slots: how many processes run at once, and where.
        on_end: told each job that ended and its exit code (negative: the signal that killed it).
        server: what forks the processes, for who runs jobs several times; by default one is started where it can be.
        on_look: called a few times a second; what it raises ends the processes.

    Raises:
        KeyboardInterrupt: stopped; the processes have been ended, and `on_end` was told.
    """
    queue = list(waiting)
    for job in queue:
        RunFolder(job.directory).gpu_memory.unlink(missing_ok=True)  # of an earlier start
    running: dict[int, tuple[FoldJob, FoldProcess]] = {}
    own = FoldServer() if server is None and queue and FoldServer.can_run() else None
    server = server or own
    try:
        while queue or running:
            for slot in range(slots.update()):
                if queue and slot not in running:
                    job = queue.pop(0)
                    running[slot] = (job, _start(job, slot, slots, server))
            time.sleep(0.2)
            on_look()
            for slot, (job, process) in list(running.items()):
                code = process.poll()
                if code is not None:
                    del running[slot]
                    on_end(job, code)
                    if code == EXIT_USER_ERROR:
                        queue.clear()
    except BaseException:
        for _, process in running.values():
            process.terminate()
        for job, process in running.values():
            on_end(job, _wait(process))
        raise
    finally:
        if own is not None:
            own.close()


def _start(job: FoldJob, slot: int, slots: Slots, server: FoldServer | None) -> FoldProcess:
    job_file = RunFolder(job.directory).job
    write_json(job_file, {**job.content, "parent_pid": os.getpid() if server is None else server.pid})
    environment = _share_machine(slot, slots)
    if server is not None:
        return server.start(str(job_file), environment)
    command = [sys.executable, "-m", "medmamba_monai.cross_validation", str(job_file)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1", **environment})


def _share_machine(slot: int, slots: Slots) -> dict[str, str]:
    """Return variables that give a process a GPU where there are several, or on the CPU its share of the cores."""
    if slots.most == 1:
        return {}
    if slots.devices == 1:
        return {}
    if slots.devices:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else [str(index) for index in range(slots.devices)]
        return {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]}
    return {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // slots.number, 1))}


def _wait(process: FoldProcess, patience: float = 60.0) -> int:
    """Wait until a process that was told to stop has recorded it; the end of its run waits for a slow store."""
    try:
        return process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout=patience)
