"""Compilation of all kernels that a process will need, at once and in threads, before the first of them runs.

The functions of ``launch`` are called with tensors that have no memory: what would be launched is compiled. So a kernel
is compiled for what it will be launched with, however ``launch`` changes. Triton keeps what it compiled in
``$TRITON_CACHE_DIR``, else in ``.triton/cache`` of the home folder, where the next process finds it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
import triton

from medmamba_monai.selective_scan.expected import ScanSizes, list_expected_scans
from medmamba_monai.selective_scan.inputs import ScanInputs

logger = logging.getLogger("medmamba_monai.selective_scan")

Forward = Callable[[ScanInputs, bool], Any]
Backward = Callable[[torch.Tensor, torch.Tensor, ScanInputs], Any]

_DONE: set[tuple[torch.device, torch.dtype, bool]] = set()


def compile_before_first_use(inputs: ScanInputs, training: bool, forward: Forward, backward: Backward) -> None:
    """Compile the kernels of all expected scans when the first of them arrives; do nothing after that.

    Args:
        inputs: the scan that arrives.
        training: whether its gradient will be asked for; then the kernels of inference are compiled, too.
        forward: ``forward`` of ``launch``.
        backward: ``backward`` of ``launch``.
    """
    key = (inputs.u.device, inputs.u.dtype, training)
    if key in _DONE or inputs.delta is not None or torch.cuda.is_current_stream_capturing():
        return
    _DONE.update((*key[:2], needs_gradient) for needs_gradient in {training, False})
    channels = inputs.u.shape[2]
    own = ScanSizes(inputs.directions, channels, inputs.rank, inputs.state_size)
    scans = sorted({own, *list_expected_scans(inputs.u.device)})
    threads = min(3 * len(scans), count_cores())
    logger.info(
        "compiling the scan's kernels for %d sizes in %d threads, or reading them from Triton's cache in %s",
        len(scans),
        threads,
        os.environ.get("TRITON_CACHE_DIR", "~/.triton/cache"),
    )
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool, torch.cuda.device_of(inputs.u), _compile_in(pool):
        started = start_all(scans, inputs.u.dtype, training, forward, backward)
    logger.info(
        "%d kernels of the scan, and the small ones beside them, are ready after %.1f s",
        started,
        time.perf_counter() - began,
    )


def start_all(
    scans: Iterable[ScanSizes], dtype: torch.dtype, training: bool, forward: Forward, backward: Backward
) -> int:
    """Call ``forward`` and ``backward`` for scans without memory; returns how many kernels walk the tokens.

    The slowest to compile come first.
    """
    count = 0
    made = [make_inputs(sizes, dtype) for sizes in scans]
    if training:
        for inputs in made:
            y, states = torch.empty_like(inputs.u, dtype=torch.float32), _states_of(inputs, forward)
            backward(y, states, inputs)
            count += 2
    for inputs in made:
        forward(inputs, False)
        count += 1
    return count


def make_inputs(sizes: ScanSizes, dtype: torch.dtype) -> ScanInputs:
    """Make a scan of one token whose tensors have no memory."""
    directions, channels, rank, state_size = sizes

    def empty(*shape: int, of: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=of, device="meta")

    return ScanInputs(
        empty(1, 1, channels, of=dtype),
        empty(1, 1, directions, rank + 2 * state_size, of=dtype),
        empty(directions, channels, rank),
        empty(directions, channels),
        empty(directions, channels, state_size),
        empty(directions, channels),
        [1] * (directions // 2),
    )


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _states_of(inputs: ScanInputs, forward: Forward) -> torch.Tensor:
    states: torch.Tensor = forward(inputs, True)[1]
    return states


def _compile_in(pool: ThreadPoolExecutor) -> Any:
    """Return Triton's mode in which kernels are compiled by a pool; older releases compile one after the other."""
    mode = getattr(triton, "AsyncCompileMode", None)
    return nullcontext() if mode is None else mode(pool)
