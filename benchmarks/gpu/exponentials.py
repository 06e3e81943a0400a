"""Powers of two in registers, in Triton: nothing but the unit for exponentials is busy. Needs triton and CUDA."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def exponentiate_in_registers(numbers: Tensor, powers: Tensor, repetitions: int) -> Tensor:
    """Apply x -> 2**-x to float32 numbers in [0, 1] ``repetitions`` times, a multiple of four, into ``powers``."""
    grid = (triton.cdiv(numbers.numel(), BLOCK),)
    _kernel[grid](numbers, powers, numbers.numel(), repetitions, BLOCK=BLOCK, num_warps=4)
    return powers


@triton.jit
def _kernel(numbers, powers, count, repetitions, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < count
    x = tl.load(numbers + offsets, mask=inside, other=0.0)
    for _ in range(repetitions // 4):
        x = tl.exp2(-tl.exp2(-tl.exp2(-tl.exp2(-x))))  # four in a row: the loop's own instructions do not count
    tl.store(powers + offsets, x, mask=inside)
