"""The fused scan as a Triton kernel, and the functions that the backward kernel shares with it.

A program takes one image, one direction and BLOCK channels, and walks the tokens in the direction's order. With step
size d, x = d * u and a = A * log2(e), token t turns the state h, of N components, into

    h_n(t) = 2^(d(t) a_n) h_n(t-1) + x(t) B_n(t)        y(t) = sum over n of C_n(t) h_n(t) + D u(t)

A thread holds the N states of its channel in registers. While it updates them with one token, it loads what the next
two need (B and C of the next AHEAD, one or two) and computes the next step size: nothing waits for memory, or for the
exponential of a single number.

Everything is float32 in registers. Sequences are walked in chunks of CHUNK steps. The walk is padded in front to whole
chunks, so that only its first chunk is shorter; the order of the tokens is padded behind, so that loads may run ahead.
"""

# Triton's language has no *values in a tuple (RUF005), and types that mypy does not know.
# ruff: noqa: RUF005
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
VARYING = ["first", "chunks", "batch", "length"]
"""Integers that change with the batch and the image: kernels are not compiled anew for 1 or for multiples of 16."""


@triton.jit
def step_size(raw, SOFTPLUS: tl.constexpr):
    """Return log(1 + exp(raw)), or raw itself.

    With e = exp(-abs(raw)), log(1 + e) is e times a polynomial (``softplus`` of ``selective_scan/polynomials.py``:
    minimax on [0, 1], relative error 3e-8), which keeps the digits of small step sizes.
    """
    if not SOFTPLUS:
        return raw
    e = tl.exp2(tl.abs(raw) * -LOG2_E)
    series = 0.0052326940931379795 * e - 0.029505237936973572
    series = series * e + 0.07822595536708832
    series = series * e - 0.13663245737552643
    series = series * e + 0.19106006622314453
    series = series * e - 0.2484298199415207
    series = series * e + 0.3331909775733948
    series = series * e - 0.4999949336051941
    series = series * e + 0.9999999403953552
    return tl.where(raw > 0, raw, 0.0) + e * series


@triton.jit
def load_channels(pointers, mask):
    """Load a number for every channel, 0 beyond the last one."""
    return tl.load(pointers, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_rows(matrix, ROWS: tl.constexpr, channels, mask):
    """Load the rows of a (ROWS, channels) matrix, each a vector of channels."""
    rows = ()
    for i in tl.static_range(ROWS):
        rows = rows + (load_channels(matrix + i * channels, mask),)
    return rows


@triton.jit
def load_broadcast(row, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Load WIDTH consecutive numbers, each as a vector that repeats it for every channel.

    Every thread loads four numbers at a time where their address is a multiple of four numbers.
    """
    columns = tl.full([BLOCK, 4], 0, tl.int32) + tl.arange(0, 4)[None, :]
    values = ()
    for start in tl.static_range(0, WIDTH - WIDTH % 4, 4):
        four = tl.reshape(tl.load(row + start + columns), [BLOCK, 2, 2])
        even, odd = tl.split(four)
        first, third = tl.split(even)
        second, fourth = tl.split(odd)
        values = values + (first, second, third, fourth)
    for i in tl.static_range(WIDTH - WIDTH % 4, WIDTH):
        values = values + (tl.load(row + i + tl.full([BLOCK], 0, tl.int32)),)
    return values


@triton.jit
def add_product(total, low_rank, weight, RANK: tl.constexpr):
    """Add the product of a token's low-rank step size and ``dt_weight`` to the raw step size."""
    for r in tl.static_range(RANK):
        total += low_rank[r] * weight[r]
    return total


@triton.jit
def prefetch(pointers):
    """Have the cache lines of these addresses brought into the second-level cache."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [pointers], dtype=tl.int32, is_pure=False, pack=1
    )


@triton.jit
def prefetch_rows(matrix, rows, stride, column, WIDTH: tl.constexpr):
    """Prefetch WIDTH columns of some rows, 64 bytes of float32 at a time, and nothing beyond the end of a row."""
    for start in tl.static_range(0, WIDTH, 16):
        prefetch(matrix + rows * stride + tl.minimum(column + start, stride - 1))


@triton.jit(do_not_specialize=VARYING)
def forward_kernel(
    u,
    projected,
    delta,
    dt_weight,
    dt_bias,
    rate,
    skip,
    order,
    y,
    states,
    first,
    chunks,
    order_stride,
    length,
    channels,
    DIRECTIONS: tl.constexpr,
    RANK: tl.constexpr,
    STATE_SIZE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
    AHEAD: tl.constexpr,
    HAS_DELTA: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    SAVE: tl.constexpr,
    PREFETCH: tl.constexpr,
):
    """Write each direction's output, and the state before each chunk if SAVE.

    Args:
        u: (B, L, C) of any float dtype.
        projected: (B, L, K, R + 2 * N) float32, as all below but ``delta`` and ``order``.
        delta: (B, L, K, C) of any float dtype, read if HAS_DELTA.
        dt_weight: (K, R, C).
        dt_bias: (K, C).
        rate: (K, N, C), A * log2(e).
        skip: (K, C).
        order: (K, order_stride) int32 token numbers: ``first`` to pad, then L, then at least CHUNK more to pad.
        y: (B, K, L, C) receives the outputs.
        states: (B, K, chunks, N, C) receives the states.
        first: how many steps pad the first chunk.
        chunks: how many chunks the padded walk has.
    """
    # Find the image, the direction and the channels of this program.
    COLUMNS: tl.constexpr = RANK + 2 * STATE_SIZE
    blocks = (channels + BLOCK - 1) // BLOCK
    program = tl.program_id(0)
    k = program // blocks % DIRECTIONS
    image = (program // blocks // DIRECTIONS).to(tl.int64)
    block = program % blocks * BLOCK
    c = block + tl.arange(0, BLOCK)
    mask = c < channels

    far = tl.full([], 1, tl.int64) * channels  # chunk * STATE_SIZE * channels may need 64 bits

    # Load what stays the same for every token.
    a = load_rows(rate + k * STATE_SIZE * channels + c, STATE_SIZE, channels, mask)
    weight = load_rows(dt_weight + k * RANK * channels + c, RANK, channels, mask)
    bias = load_channels(dt_bias + k * channels + c, mask)
    D = load_channels(skip + k * channels + c, mask)

    # Move the pointers to this image and direction.
    order += k * order_stride
    u += image * length * channels
    projected += (image * length * DIRECTIONS + k) * COLUMNS
    delta += (image * length * DIRECTIONS + k) * channels + c
    y += (image * DIRECTIONS + k) * length * channels + c
    states += (image * DIRECTIONS + k) * chunks * STATE_SIZE * channels + c

    # Load ahead. This token's numbers have no suffix, those of the next have 1, those of the one after that have 2.
    token = tl.load(order + first).to(tl.int64)
    token1 = tl.load(order + first + 1).to(tl.int64)
    token2 = tl.load(order + first + 2).to(tl.int64)
    u0 = load_channels(u + token * channels + c, mask)
    u1 = load_channels(u + token1 * channels + c, mask)
    raw, raw1 = bias, bias
    if HAS_DELTA:
        raw += load_channels(delta + token * DIRECTIONS * channels, mask)
        raw1 += load_channels(delta + token1 * DIRECTIONS * channels, mask)
    low_rank = load_broadcast(projected + token * (DIRECTIONS * COLUMNS), RANK, BLOCK)
    low_rank1 = load_broadcast(projected + token1 * (DIRECTIONS * COLUMNS), RANK, BLOCK)
    BC = load_broadcast(projected + token * (DIRECTIONS * COLUMNS) + RANK, 2 * STATE_SIZE, BLOCK)
    if AHEAD == 2:
        BC1 = load_broadcast(projected + token1 * (DIRECTIONS * COLUMNS) + RANK, 2 * STATE_SIZE, BLOCK)
    step = step_size(add_product(raw, low_rank, weight, RANK), SOFTPLUS)
    h = ()
    for _ in tl.static_range(STATE_SIZE):
        h = h + (tl.full([BLOCK], 0, tl.float32),)

    # Walk: chunk by chunk, and in it token by token, each loading ahead before it updates the states.
    for chunk in tl.range(0, chunks):
        if SAVE:
            for n in tl.static_range(STATE_SIZE):
                tl.store(states + (chunk * STATE_SIZE + n) * far, h[n], mask=mask)
        if PREFETCH:
            coming = tl.load(order + (chunk + 1) * CHUNK + tl.arange(0, CHUNK)).to(tl.int64)
            prefetch_rows(projected, coming, DIRECTIONS * COLUMNS, 0, COLUMNS)
            prefetch_rows(u, coming, channels, block, BLOCK)
        for t in tl.range(tl.maximum(chunk * CHUNK, first), (chunk + 1) * CHUNK, loop_unroll_factor=2):
            token3 = tl.load(order + t + 3).to(tl.int64)
            u2 = load_channels(u + token2 * channels + c, mask)
            raw2 = bias
            if HAS_DELTA:
                raw2 += load_channels(delta + token2 * DIRECTIONS * channels, mask)
            low_rank2 = load_broadcast(projected + token2 * (DIRECTIONS * COLUMNS), RANK, BLOCK)
            coming_token = token2 if AHEAD == 2 else token1
            loaded = load_broadcast(projected + coming_token * (DIRECTIONS * COLUMNS) + RANK, 2 * STATE_SIZE, BLOCK)
            step1 = step_size(add_product(raw1, low_rank1, weight, RANK), SOFTPLUS)
            x = step * u0
            y_t = D * u0
            h1 = ()
            for n in tl.static_range(STATE_SIZE):
                h_n = tl.exp2(step * a[n]) * h[n] + x * BC[n]
                y_t += BC[STATE_SIZE + n] * h_n
                h1 = h1 + (h_n,)
            tl.store(y + token * channels, y_t, mask=mask)
            token, token1, token2 = token1, token2, token3
            u0, u1, raw1, low_rank1 = u1, u2, raw2, low_rank2
            step, h = step1, h1
            if AHEAD == 2:
                BC, BC1 = BC1, loaded
            else:
                BC = loaded
