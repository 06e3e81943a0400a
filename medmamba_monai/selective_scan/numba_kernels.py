"""The fused scan, forward and backward, as Numba kernels: float32, SIMD over channels.

Every array is laid out so that its last axis is one SIMD vector of LANES channels, a block. A task takes one image and
one block (backward: a group of blocks), walks each direction through its token order, and keeps the hidden state, N
vectors, in the first-level cache. A token's low-rank step size, B and C are the same for all channels: broadcasts.

The forward pass saves the state before every CHUNK-th token. The backward pass goes through the chunks from the last
to the first: it replays the chunk from the saved state, then sweeps back over its tokens with the gradient of the
state. Gradients of ``projected`` sum over channels: they are added up as vectors over the blocks of a group, and over
lanes at the end of each chunk.

Tasks write to places of their own, and what one task adds up it adds up in a fixed order: results are the same bits
from run to run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np

from medmamba_monai.selective_scan.numba_simd import (
    LANES,
    broadcast,
    exp2,
    flush_denormals,
    load,
    restore_denormals,
    softplus_and_slope,
    splat,
    store,
    sum_lanes,
)

logger = logging.getLogger(__name__)

CHUNK = 64
LN_2 = 0.6931471805599453


class Scan(NamedTuple):
    """Inputs of the kernels; V stands for LANES, every dtype but that of ``order`` is float32.

    Attributes:
        order: (K, L) int32 token numbers.
        u: (B, L, blocks, V).
        projected: (B, L, K, R + 2 * N).
        dt_weight: (K, blocks, R, V).
        dt_bias: (K, blocks, V).
        rate: (K, blocks, N, V), A * log2(e), so that a decay is a power of two.
        skip: (K, blocks, V).
    """

    order: Any
    u: Any
    projected: Any
    dt_weight: Any
    dt_bias: Any
    rate: Any
    skip: Any


def _cached(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a kernel over all threads, keeping the machine code on disk where a folder for it can be written."""
    kernel = partial(numba.njit, parallel=True, nogil=True, error_model="numpy")
    try:
        return kernel(cache=True)(function)
    except RuntimeError as error:
        logger.warning("%s: the scan is compiled in every process anew; set NUMBA_CACHE_DIR to a folder", error)
        return kernel()(function)


_inner = numba.njit(nogil=True, error_model="numpy")


@_inner
def _step_size(scan: Scan, image: int, k: int, token: int, block: int) -> Any:
    """Return the step size of a token, and its slope, for the channels of a block."""
    raw = load(scan.dt_bias, (k, block))
    for r in range(scan.dt_weight.shape[2]):
        raw = raw + broadcast(scan.projected, (image, token, k, r)) * load(scan.dt_weight, (k, block, r))
    return softplus_and_slope(raw)


@_inner
def _accumulate(array: Any, index: tuple[int, ...], value: Any) -> None:
    store(array, index, load(array, index) + value)


@_inner
def _fill(array: Any, number: float) -> None:
    for i in range(array.size):
        array.flat[i] = number


@_inner
def _forward_task(scan: Scan, image: int, block: int, y: Any, states: Any) -> None:
    """Scan the channels of one block of one image along every direction."""
    (directions, length), (rank, size) = scan.order.shape, (scan.dt_weight.shape[2], scan.rate.shape[2])
    state = np.empty((size, LANES), np.float32)
    for k in range(directions):
        _fill(state, 0.0)
        for step in range(length):
            if states.size and step % CHUNK == 0:
                for n in range(size):
                    store(states, (image, k, step // CHUNK, block, n), load(state, (n,)))
            token = scan.order[k, step]
            delta, _ = _step_size(scan, image, k, token, block)
            u = load(scan.u, (image, token, block))
            y_token = load(scan.skip, (k, block)) * u
            if k > 0:
                y_token = y_token + load(y, (image, token, block))
            weighted = delta * u
            for n in range(size):
                decay = exp2(delta * load(scan.rate, (k, block, n)))
                written = weighted * broadcast(scan.projected, (image, token, k, rank + n))
                h = decay * load(state, (n,)) + written
                store(state, (n,), h)
                y_token = y_token + h * broadcast(scan.projected, (image, token, k, rank + size + n))
            store(y, (image, token, block), y_token)


@_cached
def forward_kernel(
    order: Any, u: Any, projected: Any, dt_weight: Any, dt_bias: Any, rate: Any, skip: Any, y: Any, states: Any
) -> None:
    """Fill ``y`` (B, L, blocks, V) from the members of a :class:`Scan`, and ``states`` unless it is empty.

    ``states`` (B, K, chunks, blocks, N, V) receives the state before each chunk.
    """
    blocks = u.shape[2]
    for task in numba.prange(u.shape[0] * blocks):
        scan = Scan(order, u, projected, dt_weight, dt_bias, rate, skip)
        mode = flush_denormals()
        _forward_task(scan, task // blocks, task % blocks, y, states)
        restore_denormals(mode)


class Replay(NamedTuple):
    """Working memory for one chunk of one block; T stands for CHUNK.

    Attributes:
        states: (T + 1, N, V) state before each token, and after the last.
        decays: (T, N, V).
        delta: (T, V) step sizes.
        slope: (T, V) derivative of the step size with respect to what enters the softplus.
        sums: (T, R + 2 * N, V) gradient of ``projected``, still to be added up over lanes.
        grad_weight: (R, V) what the chunk adds to the gradient of ``dt_weight``; short sums keep rounding small.
        grad_rate: (N, V) what the chunk adds to the gradient of A.
    """

    states: Any
    decays: Any
    delta: Any
    slope: Any
    sums: Any
    grad_weight: Any
    grad_rate: Any


class Gradient(NamedTuple):
    """Gradients as the kernels write them, laid out like the members of :class:`Scan` they belong to.

    Attributes:
        u: (B, L, blocks, V).
        projected: (groups, B, L, K, R + 2 * N), one part a group of blocks.
        dt_weight: (B, K, blocks, R, V), one part an image, as all below.
        dt_bias: (B, K, blocks, V).
        rate: (B, K, blocks, N, V), with respect to A.
        skip: (B, K, blocks, V).
    """

    u: Any
    projected: Any
    dt_weight: Any
    dt_bias: Any
    rate: Any
    skip: Any


@_inner
def _replay_chunk(scan: Scan, image: int, k: int, steps: Any, block: int, replay: Replay) -> None:
    """Repeat the forward pass over the tokens of a chunk, from ``replay.states[0]`` on, and keep everything."""
    rank = scan.dt_weight.shape[2]
    for i in range(len(steps)):
        token = steps[i]
        delta, slope = _step_size(scan, image, k, token, block)
        store(replay.delta, (i,), delta)
        store(replay.slope, (i,), slope)
        weighted = delta * load(scan.u, (image, token, block))
        for n in range(scan.rate.shape[2]):
            decay = exp2(delta * load(scan.rate, (k, block, n)))
            written = weighted * broadcast(scan.projected, (image, token, k, rank + n))
            store(replay.decays, (i, n), decay)
            store(replay.states, (i + 1, n), decay * load(replay.states, (i, n)) + written)


@_inner
def _sweep_back(
    scan: Scan, image: int, k: int, steps: Any, block: int, replay: Replay, grad_y: Any, carry: Any, grad: Gradient
) -> None:
    """Walk a chunk backwards. ``carry`` (N, V) is the gradient of the state that the chunk hands on, then receives."""
    rank, size = scan.dt_weight.shape[2], scan.rate.shape[2]
    skip = load(scan.skip, (k, block))
    grad_skip, grad_bias = splat(0.0), splat(0.0)
    _fill(replay.grad_rate, 0.0)
    _fill(replay.grad_weight, 0.0)
    for i in range(len(steps) - 1, -1, -1):
        token = steps[i]
        g, u, delta = load(grad_y, (image, token, block)), load(scan.u, (image, token, block)), load(replay.delta, (i,))
        weighted = delta * u
        grad_skip = grad_skip + g * u
        grad_weighted, grad_exponent = splat(0.0), splat(0.0)
        for n in range(size):
            grad_h = load(carry, (n,)) + g * broadcast(scan.projected, (image, token, k, rank + size + n))
            _accumulate(replay.sums, (i, rank + size + n), g * load(replay.states, (i + 1, n)))
            _accumulate(replay.sums, (i, rank + n), grad_h * weighted)
            grad_weighted = grad_weighted + grad_h * broadcast(scan.projected, (image, token, k, rank + n))
            grad_before = grad_h * load(replay.decays, (i, n))
            store(carry, (n,), grad_before)
            grad_decay = grad_before * load(replay.states, (i, n))
            grad_exponent = grad_exponent + grad_decay * load(scan.rate, (k, block, n))
            _accumulate(replay.grad_rate, (n,), grad_decay * delta)
        grad_raw = (grad_exponent * LN_2 + grad_weighted * u) * load(replay.slope, (i,))
        grad_bias = grad_bias + grad_raw
        for r in range(rank):
            _accumulate(replay.grad_weight, (r,), grad_raw * broadcast(scan.projected, (image, token, k, r)))
            _accumulate(replay.sums, (i, r), grad_raw * load(scan.dt_weight, (k, block, r)))
        grad_u = grad_weighted * delta + skip * g
        if k > 0:
            grad_u = grad_u + load(grad.u, (image, token, block))
        store(grad.u, (image, token, block), grad_u)
    for n in range(size):
        _accumulate(grad.rate, (image, k, block, n), load(replay.grad_rate, (n,)))
    for r in range(rank):
        _accumulate(grad.dt_weight, (image, k, block, r), load(replay.grad_weight, (r,)))
    _accumulate(grad.dt_bias, (image, k, block), grad_bias)
    _accumulate(grad.skip, (image, k, block), grad_skip)


@_inner
def _backward_task(
    scan: Scan, image: int, group: int, first: int, last: int, states: Any, grad_y: Any, grad: Gradient
) -> None:
    """Differentiate the scan of blocks first to last - 1 of one image."""
    columns, rank, size = scan.projected.shape[3], scan.dt_weight.shape[2], scan.rate.shape[2]
    replay = Replay(
        np.empty((CHUNK + 1, size, LANES), np.float32),
        np.empty((CHUNK, size, LANES), np.float32),
        np.empty((CHUNK, LANES), np.float32),
        np.empty((CHUNK, LANES), np.float32),
        np.empty((CHUNK, columns, LANES), np.float32),
        np.empty((rank, LANES), np.float32),
        np.empty((size, LANES), np.float32),
    )
    carry = np.empty((last - first, size, LANES), np.float32)
    for k in range(scan.order.shape[0]):
        _fill(carry, 0.0)
        for chunk in range(states.shape[2] - 1, -1, -1):
            steps = scan.order[k, chunk * CHUNK : (chunk + 1) * CHUNK]
            _fill(replay.sums, 0.0)
            for block in range(first, last):
                for n in range(size):
                    store(replay.states, (0, n), load(states, (image, k, chunk, block, n)))
                _replay_chunk(scan, image, k, steps, block, replay)
                _sweep_back(scan, image, k, steps, block, replay, grad_y, carry[block - first], grad)
            for i in range(len(steps)):
                for column in range(columns):
                    grad.projected[group, image, steps[i], k, column] = sum_lanes(load(replay.sums, (i, column)))


@_cached
def backward_kernel(
    order: Any,
    u: Any,
    projected: Any,
    dt_weight: Any,
    dt_bias: Any,
    rate: Any,
    skip: Any,
    states: Any,
    grad_y: Any,
    grad_u: Any,
    grad_projected: Any,
    grad_dt_weight: Any,
    grad_dt_bias: Any,
    grad_rate: Any,
    grad_skip: Any,
) -> None:
    """Fill the members of a :class:`Gradient` from those of a :class:`Scan`, the saved states and dL/dy.

    ``grad_u`` and ``grad_projected`` are overwritten; the others are added to and must be zero.
    """
    blocks, groups = u.shape[2], grad_projected.shape[0]
    for task in numba.prange(u.shape[0] * groups):
        scan = Scan(order, u, projected, dt_weight, dt_bias, rate, skip)
        grad = Gradient(grad_u, grad_projected, grad_dt_weight, grad_dt_bias, grad_rate, grad_skip)
        image, group = task // groups, task % groups
        first, last = group * blocks // groups, (group + 1) * blocks // groups
        mode = flush_denormals()
        _backward_task(scan, image, group, first, last, states, grad_y, grad)
        restore_denormals(mode)
