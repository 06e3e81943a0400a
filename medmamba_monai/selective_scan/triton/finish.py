"""Sums of what the programs of the scan's kernels wrote, each in one launch and in the layout that is returned.

They are added up in float32 and in an order that never changes. In PyTorch's own operations these are a sum, a copy
into another layout and a cast each: a dozen launches a scan instead of three.
"""

# Triton's language has types that mypy does not know.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

from medmamba_monai.selective_scan.triton.forward import VARYING

ELEMENTS = tl.constexpr(1024)
"""Numbers that a program of ``add_parts_kernel`` writes."""
IMAGES, CHANNELS = tl.constexpr(16), tl.constexpr(64)
"""Images whose loads do not wait for one another in ``add_images_kernel``, and channels that a program adds up."""


@triton.jit(do_not_specialize=["count", "parts", "size", "columns"])
def add_parts_kernel(source, target, count, parts, size, columns, PADDING: tl.constexpr, ELEMENTS: tl.constexpr):
    """Add up the parts of each tensor: (outer, parts, size) to (outer, size), converted to the dtype of ``target``.

    Args:
        source: float32.
        target: receives the sums.
        count: numbers of ``target``.
        parts: how many are added.
        size: numbers of a part in ``target``.
        columns: of a row in ``target``, where ``source`` has rows that are longer.
        PADDING: by how many numbers rows of ``source`` are longer, in front; 0 for none.
        ELEMENTS: numbers that a program writes.
    """
    i = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    inside = i < count
    outer, within = i // size, i % size
    part_size = tl.full([], 1, tl.int64) * size
    if PADDING > 0:
        within += (within // columns + 1) * PADDING
        part_size = part_size // columns * (columns + PADDING)
    source += outer * parts * part_size + within
    total = tl.full([ELEMENTS], 0, tl.float32)
    for part in tl.range(0, parts):
        total += tl.load(source + part * part_size, mask=inside, other=0.0)
    tl.store(target + i, total, mask=inside)


@triton.jit(do_not_specialize=VARYING)
def add_images_kernel(
    sums,
    grad_dt_weight,
    grad_dt_bias,
    grad_A,
    grad_D,
    batch,
    channels,
    DIRECTIONS: tl.constexpr,
    RANK: tl.constexpr,
    PADDING: tl.constexpr,
    STATE_SIZE: tl.constexpr,
    IMAGES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Add up the gradients of the parameters over the images.

    Args:
        sums: (B, K, rows, C) float32, as ``backward_kernel`` wrote them.
        grad_dt_weight: (K, C, R - padding) receives the sums of the first R rows; those of the padding are left out.
        grad_dt_bias: (K, C).
        grad_A: (K, C, N).
        grad_D: (K, C).
        batch: images.
        channels: of the scan.
        DIRECTIONS: K.
        RANK: R, padded.
        PADDING: rows in front that only pad.
        STATE_SIZE: N.
        IMAGES: images whose loads do not wait for one another.
        CHANNELS: channels of a program.
    """
    ROWS: tl.constexpr = RANK + 2 * STATE_SIZE + 2
    WRITTEN: tl.constexpr = RANK - PADDING + STATE_SIZE + 2
    blocks = (channels + CHANNELS - 1) // CHANNELS
    program = tl.program_id(0)
    row = program // blocks % WRITTEN + PADDING
    k = program // blocks // WRITTEN
    c = program % blocks * CHANNELS + tl.arange(0, CHANNELS)
    mask = c < channels
    found = tl.full([CHANNELS], 0, tl.float32)
    for first in tl.range(0, batch, IMAGES):
        for i in tl.static_range(IMAGES):
            walk = (tl.full([], 1, tl.int64) * first + i) * DIRECTIONS + k
            inside = mask & (first + i < batch)
            found += tl.load(sums + (walk * ROWS + row) * channels + c, mask=inside, other=0.0)
    place = k * channels + c
    if row < RANK:
        tl.store(grad_dt_weight + place * (RANK - PADDING) + row - PADDING, found, mask=mask)
    elif row < RANK + STATE_SIZE:
        tl.store(grad_A + place * STATE_SIZE + row - RANK, found, mask=mask)
    elif row == RANK + STATE_SIZE:
        tl.store(grad_dt_bias + place, found, mask=mask)
    else:
        tl.store(grad_D + place, found, mask=mask)
