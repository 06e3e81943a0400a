"""What the CPU reaches when it does nothing but the scan's exponentials, of which there is one for each state update.

The powers of two are those of the Numba kernels, many independent ones at a time in registers, on all threads: no
kernel that computes them so can be faster.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.accuracy import Shape
from benchmarks.scan_work import scan_exponentials
from benchmarks.timing import interleave

ROUNDS, REPETITIONS = 20, 200_000
SIDE_BY_SIDE = 8
"""Independent powers at a time: enough to hide how long one takes."""


def exponentials_per_second(threads: int, repetitions: int = REPETITIONS, rounds: int = ROUNDS) -> float:
    """Measure how many float32 powers of two the CPU computes in a second, the best of some rounds."""
    import numba
    import numpy as np

    from medmamba_monai.selective_scan.numba.forward import load_tile
    from medmamba_monai.selective_scan.numba.launch import kernel_threads
    from medmamba_monai.selective_scan.numba.math import exp2
    from medmamba_monai.selective_scan.numba.vector import LANES, store

    @numba.njit(parallel=True, nogil=True, error_model="numpy")
    def exponentiate(numbers: Any, repetitions: int) -> None:
        for thread in numba.prange(numbers.shape[0]):
            a, b, c, d = load_tile(numbers[thread], 0)
            e, f, g, h = load_tile(numbers[thread], 4)
            for _ in range(repetitions):
                a, b, c, d = exp2(a), exp2(b), exp2(c), exp2(d)
                e, f, g, h = exp2(e), exp2(f), exp2(g), exp2(h)
                a, b, c, d = a - 1.0, b - 1.0, c - 1.0, d - 1.0
                e, f, g, h = e - 1.0, f - 1.0, g - 1.0, h - 1.0
            store(numbers, (thread, 0), a + b + c + d + e + f + g + h)

    torch.set_num_threads(threads)
    with kernel_threads():
        threads = numba.get_num_threads()
        numbers = np.full((threads, SIDE_BY_SIDE, LANES), 0.5, np.float32)
        powers = {"powers": lambda: exponentiate(numbers, repetitions)}
        times = interleave(powers, rounds, warmups=2, label="exponentials")
    times.stop_if_interrupted()
    return threads * SIDE_BY_SIDE * LANES * repetitions / times.summary("powers").minimum


def scan_limit(shape: Shape, training: bool, rate: float) -> float:
    """Seconds that a scan's exponentials take at a rate; with training they are computed twice, forward and back."""
    return scan_exponentials(shape, training) / rate
