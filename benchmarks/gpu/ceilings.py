"""What a device reaches when it does one thing only: the rates that the scan's time is held against."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import torch

from benchmarks.accuracy import Shape
from benchmarks.scan_work import scan_bytes, scan_exponentials
from benchmarks.timing import interleave

COPY_BYTES, MATMUL_EDGE, EXPONENTIALS = 2**30, 8192, 2**22
EXPONENTIALS_IN_A_ROW = 512


class Ceilings(NamedTuple):
    """Best rates of a device.

    Attributes:
        bytes_per_second: read plus written by a copy within its memory.
        matmul_flops: floating-point operations a second of a large product in bfloat16.
        exponentials_per_second: powers of two in float32.
        exponentials_by: how they were computed: ``triton``, in registers, or ``torch``, on data in the cache.
    """

    bytes_per_second: float
    matmul_flops: float
    exponentials_per_second: float
    exponentials_by: str


def measure_ceilings(device: str, scale: float = 1.0, rounds: int = 10) -> Ceilings:
    """Measure the ceilings; ``scale`` below 1 makes all sizes smaller, to see that it runs."""
    edge = max(16, round(MATMUL_EDGE * scale))
    source = torch.empty(max(1024, round(COPY_BYTES * scale)), dtype=torch.uint8, device=device)
    target, factor = torch.empty_like(source), torch.randn(edge, edge, device=device).bfloat16()
    numbers = torch.rand(max(1024, round(EXPONENTIALS * scale)), device=device)
    by_triton = numbers.is_cuda and importlib.util.find_spec("triton") is not None
    powers = torch.empty_like(numbers)

    def exponentiate() -> object:
        if not by_triton:
            return torch.exp2(numbers, out=powers)
        from benchmarks.gpu.exponentials import exponentiate_in_registers

        return exponentiate_in_registers(numbers, powers, EXPONENTIALS_IN_A_ROW)

    functions = {"copy": lambda: target.copy_(source), "product": lambda: factor @ factor, "powers": exponentiate}
    times = interleave(functions, rounds, warmups=3, device=device, label="ceilings")
    times.stop_if_interrupted()
    best = {name: times.summary(name).minimum for name in functions}
    count = numbers.numel() * (EXPONENTIALS_IN_A_ROW if by_triton else 1)
    return Ceilings(
        bytes_per_second=2 * source.numel() / best["copy"],
        matmul_flops=2 * edge**3 / best["product"],
        exponentials_per_second=count / best["powers"],
        exponentials_by="triton" if by_triton else "torch",
    )


def scan_limit(shape: Shape, training: bool, ceilings: Ceilings) -> float:
    """Seconds below which the scan cannot come: the slower of its bytes and its exponentials."""
    by_bytes = scan_bytes(shape, training) / ceilings.bytes_per_second
    return max(by_bytes, scan_exponentials(shape, training) / ceilings.exponentials_per_second)
