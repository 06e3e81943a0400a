"""Peak memory of a step, each measured in a fresh process, where nothing that ran before is left over.

What is counted on the CPU: the highest resident size while a step runs that is not the first one, less the resident
size just before the network was built. That is parameters, gradients, optimizer state, activations, the images and the
workspaces of the libraries. Python, the imported libraries and the compiled scan are in both terms, and so not
counted. On Linux the peak is reset before the step (``/proc/self/clear_refs``); elsewhere the highest resident size of
the whole process is all that the system tells, the first step included.

What is counted on CUDA: ``torch.cuda.max_memory_allocated`` while the same step runs, less what was allocated before
the network was built; not the CUDA context, and not what the allocator keeps in reserve.
"""

from __future__ import annotations

import gc
import multiprocessing
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

Build = Callable[[], Callable[[], object]]
"""Builds a network and returns its step. Given to another process: a function of a module, or a ``partial`` of one."""

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def peak_memory(build: Build, prepare: Callable[[], object], threads: int) -> int:
    """Measure the peak memory of a step on the CPU, in a process of its own.

    Args:
        build: builds what is measured and returns its step, which is called twice.
        prepare: loads and compiles what is not to be counted.
        threads: threads of that process.

    Returns:
        Bytes.

    Raises:
        BrokenProcessPool: the process died, in most cases because the machine has too little memory.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure_here, build, prepare, threads).result()


def measure_fork(step: Callable[[], object]) -> tuple[int, float]:
    """Measure peak memory and time of a step that runs once, in a copy of this process that has imported all.

    Returns:
        Bytes above what the copy held before, and seconds.

    Raises:
        BrokenProcessPool: the process died, in most cases because the machine has too little memory.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(_run_once, step).result()


def _run_once(step: Callable[[], object]) -> tuple[int, float]:
    gc.collect()
    before = _resident() if _can_reset() else _peak_of_process()
    if _can_reset():
        _CLEAR.write_text(_RESET_PEAK)
    began = time.perf_counter()
    step()
    seconds = time.perf_counter() - began
    return (_status("VmHWM") if _can_reset() else _peak_of_process()) - before, seconds


def peak_cuda_memory(build: Build, device: torch.device) -> int:
    """Measure the peak memory of a step on CUDA, in this process; what else is allocated there does not count."""
    gc.collect()
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    step = build()
    step()
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def method() -> str:
    """Say how the CPU's peak is read here, for the header of a table."""
    return "VmHWM, reset before the step" if _can_reset() else "ru_maxrss, never reset"


def _measure_here(build: Build, prepare: Callable[[], object], threads: int) -> int:
    torch.set_num_threads(threads)
    prepare()
    gc.collect()
    before = _resident() if _can_reset() else _peak_of_process()
    step = build()
    step()
    if not _can_reset():
        return _peak_of_process() - before
    _CLEAR.write_text(_RESET_PEAK)
    step()
    return _status("VmHWM") - before


def _can_reset() -> bool:
    return sys.platform == "linux" and _CLEAR.exists()


def _resident() -> int:
    return _status("VmRSS")


def _status(name: str) -> int:
    """Read an entry of /proc/self/status, bytes."""
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _peak_of_process() -> int:
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
