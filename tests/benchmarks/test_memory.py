from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch

from benchmarks.memory import peak_memory

MEGABYTE = 2**20
KEPT, OF_STEP, BEFORE = 48 * MEGABYTE, 96 * MEGABYTE, 64 * MEGABYTE
kept = []


def prepare() -> None:
    kept.append(torch.ones(BEFORE, dtype=torch.uint8))


def build(size: int) -> Callable[[], object]:
    network = torch.ones(size, dtype=torch.uint8)

    def step() -> int:
        return len(torch.ones(OF_STEP, dtype=torch.uint8)) + len(network)

    return step


@pytest.mark.apart
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be reset")
def test_a_known_allocation_is_measured_and_what_was_there_before_is_not() -> None:
    peak = peak_memory(partial(build, KEPT), prepare, threads=1)
    assert peak == pytest.approx(KEPT + OF_STEP, abs=12 * MEGABYTE)
