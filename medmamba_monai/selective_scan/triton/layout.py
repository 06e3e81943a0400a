"""The inputs of a scan in the layout of its kernels, in one launch.

In PyTorch's own operations these are a fill, a copy with a cast, a pad and a product: four launches a scan.
"""

# Triton's language has types that mypy does not know.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

ELEMENTS = tl.constexpr(1024)
"""Numbers that a program writes."""


@triton.jit(do_not_specialize=["count", "copies", "parameters", "channels"])
def lay_out_kernel(
    projected,
    dt_weight,
    A,
    padded,
    steps,
    rate,
    count,
    copies,
    parameters,
    channels,
    scale,
    RANK: tl.constexpr,
    PADDING: tl.constexpr,
    STATE_SIZE: tl.constexpr,
    ELEMENTS: tl.constexpr,
):
    """Pad the rank in front, convert to float32, and bring the channels of the parameters last.

    Args:
        projected: (rows, R + 2 N).
        dt_weight: (K, C, R) float32.
        A: (K, C, N) float32.
        padded: (rows, padding + R + 2 N) float32 receives ``projected``; not written if ``copies`` is 0.
        steps: (K, padding + R, C) receives ``dt_weight``.
        rate: (K, N, C) receives A times ``scale``.
        count: numbers of ``padded``.
        copies: programs that write ``padded``; those after them write the others.
        parameters: numbers of ``steps`` and ``rate`` together.
        channels: C.
        scale: of A.
        RANK: R.
        PADDING: zeros in front of each row.
        STATE_SIZE: N.
        ELEMENTS: numbers that a program writes.
    """
    ROWS: tl.constexpr = PADDING + RANK
    COLUMNS: tl.constexpr = ROWS + 2 * STATE_SIZE
    program = tl.program_id(0)
    lanes = tl.arange(0, ELEMENTS)
    if program < copies:
        i = program.to(tl.int64) * ELEMENTS + lanes
        column = i % COLUMNS - PADDING
        source = projected + i // COLUMNS * (COLUMNS - PADDING) + column
        found = tl.load(source, mask=(i < count) & (column >= 0), other=0.0).to(tl.float32)
        tl.store(padded + i, found, mask=i < count)
    else:
        j = (program - copies) * ELEMENTS + lanes
        inside = j < parameters
        channel, row = j % channels, j // channels % (ROWS + STATE_SIZE)
        direction = j // channels // (ROWS + STATE_SIZE)
        place = direction * channels + channel
        of_steps = inside & (row < ROWS)
        of_rate = inside & (row >= ROWS)
        step = tl.load(dt_weight + place * RANK + row - PADDING, mask=of_steps & (row >= PADDING), other=0.0)
        tl.store(steps + (direction * ROWS + row) * channels + channel, step, mask=of_steps)
        speed = tl.load(A + place * STATE_SIZE + row - ROWS, mask=of_rate, other=0.0) * scale
        tl.store(rate + (direction * STATE_SIZE + row - ROWS) * channels + channel, speed, mask=of_rate)
