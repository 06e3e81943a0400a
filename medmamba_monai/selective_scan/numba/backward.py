"""The fused scan on the CPU, backward, as a Numba kernel in the layout of the forward one.

Letters are those of ``forward.py``. Given the gradient g(t) of y(t), the gradient p_n(t) of the state h_n(t) is found
against the walk, and with it that of every input:

    p_n(t) = g(t) C_n(t) + 2^(d(t+1) a_n) p_n(t+1)           e_n(t) = p_n(t) 2^(d(t) a_n) h_n(t-1)
    dC_n = g h_n    dB_n = p_n d u    dA_n = sum over t of d e_n    du = d s + D g    with s = sum over n of p_n B_n
    dd = s u + sum over n of A_n e_n, which softplus' slope leads on to dt_bias, dt_weight and the low rank

A task takes one image and a group of blocks, and goes through each direction's chunks from the last to the first. In a
chunk it treats TILE components of the hidden state at a time: it replays them from the saved state, keeping every state
and decay (in the first-level cache), then sweeps back over the tokens with the gradient of the state in registers.

Gradients of ``projected`` sum over channels. Those of B and C are summed over the lanes of eight vectors at once; those
of the low-rank step size need no sum over lanes at all, as they are computed with the rank along the lanes. Sums over
the tokens of a chunk are finished before they are added to the total: short sums keep rounding small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from medmamba_monai.selective_scan.numba.forward import (
    BIAS,
    CHUNK,
    RATES,
    SKIP,
    TILE,
    Scan,
    cached_kernel,
    fill,
    find_fastest,
    inner,
    load_tile,
    sizes,
    step_size,
    store_tile,
)
from medmamba_monai.selective_scan.numba.math import (
    WHOLE_LIMIT,
    absolute,
    add_sums,
    all_less,
    exp2,
    exp2_within,
    flush_denormals,
    maximum,
    restore_denormals,
)
from medmamba_monai.selective_scan.numba.vector import LANES, aligned, broadcast, load, splat, store

LN_2 = 0.6931471805599453
DELTA, SLOPE, WEIGHTED, GRAD_Y, GRAD_WEIGHTED, GRAD_EXPONENT = range(6)
TOKEN_ROWS = 6


class Gradient(NamedTuple):
    """Gradients as the kernel writes them, laid out like the members of :class:`Scan` they belong to.

    Attributes:
        u: (B, L, blocks, V).
        projected: (groups, B, L, K, R + 2 * N), one part a group of blocks.
        delta: (B, L, K, blocks, V), or empty as that of the scan.
        parameters: (B, K, blocks, 2 + N + R, V), one part an image; that of the rates is with respect to A.
    """

    u: Any
    projected: Any
    delta: Any
    parameters: Any


class Memory(NamedTuple):
    """Working memory for a chunk of T = CHUNK tokens.

    Attributes:
        tokens: (T, 6, V) of one block. DELTA: step size; SLOPE: its derivative with respect to what enters the
            softplus; WEIGHTED: step size times u; GRAD_Y; GRAD_WEIGHTED: gradient of WEIGHTED; GRAD_EXPONENT: gradient
            of DELTA by way of the decays, still to be multiplied by ln(2).
        history: (T * 2 * TILE, V) of one tile: its states before a token, then its decays at the token.
        matrices: (T, 2 * N) gradient of B and C over all blocks so far, TILE columns of B, then the same of C.
        low_rank: (T, rank blocks, V) gradient of the low-rank step size over all blocks so far.
    """

    tokens: Any
    history: Any
    matrices: Any
    low_rank: Any


@inner
def _accumulate(array: Any, row: int, value: Any) -> None:
    store(array, (row,), load(array, (row,)) + value)


@inner
def _begin_block(scan: Scan, image: int, k: int, steps: Any, block: int, grad_y: Any, tokens: Any) -> Any:
    """Compute what all states of a block need; return the gradient of the skip connection, and the largest step."""
    grad_skip, largest = splat(0.0), splat(0.0)
    for i in range(len(steps)):
        delta, slope = step_size(scan, image, k, steps[i], block)
        u, g_y = load(scan.u, (image, steps[i], block)), load(grad_y, (image, steps[i], block))
        store(tokens, (i, DELTA), delta)
        store(tokens, (i, SLOPE), slope)
        store(tokens, (i, WEIGHTED), delta * u)
        store(tokens, (i, GRAD_Y), g_y)
        store(tokens, (i, GRAD_WEIGHTED), splat(0.0))
        store(tokens, (i, GRAD_EXPONENT), splat(0.0))
        grad_skip, largest = grad_skip + g_y * u, maximum(largest, absolute(delta))
    return grad_skip, largest


@inner
def _replay_tile(steps: Any, rows: Any, b: int, rates: Any, state: Any, first: int, memory: Memory, power: Any) -> Any:
    """Repeat the forward pass of a tile over a chunk, from ``state`` (N, V) on; return the states after it."""
    rate0, rate1, rate2, rate3 = load_tile(rates, first)
    h0, h1, h2, h3 = load_tile(state, first)
    for i in range(len(steps)):
        row = rows[steps[i]]
        delta, weighted = load(memory.tokens, (i, DELTA)), load(memory.tokens, (i, WEIGHTED))
        decay0, decay1 = power(delta * rate0), power(delta * rate1)
        decay2, decay3 = power(delta * rate2), power(delta * rate3)
        store_tile(memory.history, i * 2 * TILE, (h0, h1, h2, h3))
        store_tile(memory.history, i * 2 * TILE + TILE, (decay0, decay1, decay2, decay3))
        h0 = decay0 * h0 + weighted * broadcast(row, (b,))
        h1 = decay1 * h1 + weighted * broadcast(row, (b + 1,))
        h2 = decay2 * h2 + weighted * broadcast(row, (b + 2,))
        h3 = decay3 * h3 + weighted * broadcast(row, (b + 3,))
    return h0, h1, h2, h3


@inner
def _sweep_tile(
    steps: Any,
    rows: Any,
    b: int,
    c: int,
    rates: Any,
    after: Any,
    carry: Any,
    first: int,
    memory: Memory,
    grad_rates: Any,
) -> None:
    """Walk back over a chunk with the gradients g of a tile's states h.

    Args:
        steps: numbers of the tokens.
        rows: (L, R + 2 * N), ``projected`` of this image and direction; the tile's B begin at column b, its C at c.
        rates: (N, V).
        after: the tile's states after the chunk.
        carry: (N, V) gradient of the states that the chunk hands on, then of those that it receives.
        first: the tile's first row in ``rates``, ``carry`` and ``grad_rates``.
        memory: what ``_begin_block`` and ``_replay_tile`` left; receives what the gradients of the step sizes and of
            ``projected`` are made of.
        grad_rates: (N, V) gradient of A, added to.
    """
    tokens, history = memory.tokens, memory.history
    rate0, rate1, rate2, rate3 = load_tile(rates, first)
    g0, g1, g2, g3 = load_tile(carry, first)
    h0, h1, h2, h3 = after
    sum0, sum1, sum2, sum3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for i in range(len(steps) - 1, -1, -1):
        row = rows[steps[i]]
        g_y, delta, weighted = load(tokens, (i, GRAD_Y)), load(tokens, (i, DELTA)), load(tokens, (i, WEIGHTED))
        g0 = g0 + g_y * broadcast(row, (c,))
        g1 = g1 + g_y * broadcast(row, (c + 1,))
        g2 = g2 + g_y * broadcast(row, (c + 2,))
        g3 = g3 + g_y * broadcast(row, (c + 3,))
        grad_b, grad_c = (
            (g0 * weighted, g1 * weighted, g2 * weighted, g3 * weighted),
            (g_y * h0, g_y * h1, g_y * h2, g_y * h3),
        )
        add_sums(memory.matrices, (i, 2 * first), grad_b + grad_c)
        grad_weighted = load(tokens, (i, GRAD_WEIGHTED))
        grad_weighted = grad_weighted + g0 * broadcast(row, (b,))
        grad_weighted = grad_weighted + g1 * broadcast(row, (b + 1,))
        grad_weighted = grad_weighted + g2 * broadcast(row, (b + 2,))
        grad_weighted = grad_weighted + g3 * broadcast(row, (b + 3,))
        store(tokens, (i, GRAD_WEIGHTED), grad_weighted)
        h0, h1, h2, h3 = load_tile(history, i * 2 * TILE)
        decay0, decay1, decay2, decay3 = load_tile(history, i * 2 * TILE + TILE)
        g0, g1, g2, g3 = g0 * decay0, g1 * decay1, g2 * decay2, g3 * decay3
        exponent0, exponent1, exponent2, exponent3 = g0 * h0, g1 * h1, g2 * h2, g3 * h3
        sum0 = sum0 + exponent0 * delta
        sum1 = sum1 + exponent1 * delta
        sum2 = sum2 + exponent2 * delta
        sum3 = sum3 + exponent3 * delta
        grad_exponent = load(tokens, (i, GRAD_EXPONENT))
        grad_exponent = grad_exponent + exponent0 * rate0
        grad_exponent = grad_exponent + exponent1 * rate1
        grad_exponent = grad_exponent + exponent2 * rate2
        grad_exponent = grad_exponent + exponent3 * rate3
        store(tokens, (i, GRAD_EXPONENT), grad_exponent)
    store_tile(carry, first, (g0, g1, g2, g3))
    total0, total1, total2, total3 = load_tile(grad_rates, first)
    store_tile(grad_rates, first, (total0 + sum0, total1 + sum1, total2 + sum2, total3 + sum3))


@inner
def _end_block(
    scan: Scan, image: int, k: int, steps: Any, block: int, dt_rows: Any, memory: Memory, grad: Gradient, total: Any
) -> None:
    """Go from the gradients that a block's states left in ``memory`` to those of u and of the step size's parts.

    ``dt_rows`` (V, rank blocks, V) is that of the block, ``total`` (2 + N + R, V) the gradient of its parameters.
    """
    (rank, size), tokens, low_rank = sizes(scan), memory.tokens, memory.low_rank
    skip, grad_bias = load(scan.parameters, (k, block, SKIP)), splat(0.0)
    for i in range(len(steps)):
        place, grad_weighted = (image, steps[i], block), load(tokens, (i, GRAD_WEIGHTED))
        through_decays = load(tokens, (i, GRAD_EXPONENT)) * LN_2
        grad_raw = (through_decays + grad_weighted * load(scan.u, place)) * load(tokens, (i, SLOPE))
        store(tokens, (i, GRAD_EXPONENT), grad_raw)
        grad_bias = grad_bias + grad_raw
        if grad.delta.size:
            store(grad.delta, (image, steps[i], k, block), grad_raw)
        grad_u = grad_weighted * load(tokens, (i, DELTA)) + skip * load(tokens, (i, GRAD_Y))
        if k > 0:
            grad_u = grad_u + load(grad.u, place)
        store(grad.u, place, grad_u)
    _accumulate(total, BIAS, grad_bias)
    for i in range(len(steps)):
        for part in range(low_rank.shape[1]):
            by_rank = load(low_rank, (i, part))
            for channel in range(LANES):
                by_rank = by_rank + broadcast(tokens, (i, GRAD_EXPONENT, channel)) * load(dt_rows, (channel, part))
            store(low_rank, (i, part), by_rank)
    for r in range(rank):
        grad_weight = splat(0.0)
        for i in range(len(steps)):
            low = broadcast(scan.projected, (image, steps[i], k, r))
            grad_weight = grad_weight + load(tokens, (i, GRAD_EXPONENT)) * low
        _accumulate(total, RATES + size + r, grad_weight)


@inner
def _write_projected(memory: Memory, steps: Any, rank: int, size: int, out: Any) -> None:
    """Copy the gradient of a chunk's low-rank step sizes, B and C to ``out`` (L, R + 2 * N)."""
    for i in range(len(steps)):
        row = out[steps[i]]
        for r in range(rank):
            row[r] = memory.low_rank[i, r // LANES, r % LANES]
        for n in range(size):
            column = 2 * TILE * (n // TILE) + n % TILE
            row[rank + n] = memory.matrices[i, column]
            row[rank + size + n] = memory.matrices[i, column + TILE]


@inner
def _backward_task(
    scan: Scan, dt_rows: Any, image: int, group: int, first: int, last: int, states: Any, grad_y: Any, grad: Gradient
) -> None:
    """Differentiate the scan of blocks first to last - 1 of one image."""
    (rank, size), rank_blocks = sizes(scan), dt_rows.shape[3]
    memory = Memory(
        aligned(CHUNK * TOKEN_ROWS).reshape((CHUNK, TOKEN_ROWS, LANES)),
        aligned(CHUNK * 2 * TILE),
        np.empty((CHUNK, 2 * size), np.float32),
        aligned(CHUNK * rank_blocks).reshape((CHUNK, rank_blocks, LANES)),
    )
    carry = aligned((last - first) * size)
    for k in range(scan.order.shape[0]):
        # A direction: nothing follows its last chunk.
        fill(carry, 0.0)
        rows = scan.projected[image, :, k]
        for chunk in range(states.shape[2] - 1, -1, -1):
            steps = scan.order[k, chunk * CHUNK : (chunk + 1) * CHUNK]
            # A chunk: sums over channels begin at zero, and every block adds to them.
            fill(memory.matrices, 0.0)
            fill(memory.low_rank, 0.0)
            for block in range(first, last):
                before, total = states[image, k, chunk, block], grad.parameters[image, k, block]
                rates, grad_rates = scan.parameters[k, block, RATES : RATES + size], total[RATES:]
                own_carry = carry[(block - first) * size : (block - first + 1) * size]
                grad_skip, largest = _begin_block(scan, image, k, steps, block, grad_y, memory.tokens)
                _accumulate(total, SKIP, grad_skip)
                bounded = all_less(largest * find_fastest(rates), splat(WHOLE_LIMIT))
                # Replay a tile of states from the saved ones, then sweep back over it.
                for n in range(0, size, TILE):
                    b, c = rank + n, rank + size + n
                    if bounded:
                        after = _replay_tile(steps, rows, b, rates, before, n, memory, exp2_within)
                    else:
                        after = _replay_tile(steps, rows, b, rates, before, n, memory, exp2)
                    _sweep_tile(steps, rows, b, c, rates, after, own_carry, n, memory, grad_rates)
                _end_block(scan, image, k, steps, block, dt_rows[k, block], memory, grad, total)
            _write_projected(memory, steps, rank, size, grad.projected[group, image, :, k])


@cached_kernel
def backward_kernel(
    order: Any,
    softplus: Any,
    u: Any,
    projected: Any,
    delta: Any,
    parameters: Any,
    dt_rows: Any,
    states: Any,
    grad_y: Any,
    grad_u: Any,
    grad_projected: Any,
    grad_delta: Any,
    grad_parameters: Any,
) -> None:
    """Fill the members of a :class:`Gradient` from those of a :class:`Scan`, the saved states and dL/dy.

    ``dt_rows`` (K, blocks, V, rank blocks, V) is ``dt_weight`` with the rank along the last axis, filled up with zeros.
    ``grad_parameters`` is added to and must be zero; the other gradients are overwritten.
    """
    blocks, groups = u.shape[2], grad_projected.shape[0]
    for task in numba.prange(u.shape[0] * groups):
        scan = Scan(order, softplus, u, projected, delta, parameters)
        grad = Gradient(grad_u, grad_projected, grad_delta, grad_parameters)
        image, group = task // groups, task % groups
        first, last = group * blocks // groups, (group + 1) * blocks // groups
        mode = flush_denormals()
        _backward_task(scan, dt_rows, image, group, first, last, states, grad_y, grad)
        restore_denormals(mode)
