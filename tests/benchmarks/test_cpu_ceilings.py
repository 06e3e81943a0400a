from __future__ import annotations

import pytest
import torch

from benchmarks.accuracy import Shape
from benchmarks.cpu_ceilings import exponentials_per_second, scan_limit

numba = pytest.importorskip("numba")


@pytest.mark.apart
def test_the_rate_of_exponentials_is_measured_and_threads_stay() -> None:
    before = torch.get_num_threads()
    try:
        assert exponentials_per_second(1, repetitions=100, rounds=2) > 1e6
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
    finally:
        torch.set_num_threads(before)


def test_the_limit_counts_states_and_step_sizes_once_each_way() -> None:
    shape = Shape(2, (3, 4), 5, state_size=7)
    states, steps = 2 * 12 * 5 * 4 * 7, 2 * 12 * 5 * 4
    assert scan_limit(shape, training=False, rate=1.0) == states + steps
    assert scan_limit(shape, training=True, rate=1.0) == 2 * (states + steps)
