"""The fused scan on the CPU, forward, as a Numba kernel: SIMD over channels, computed in float32.

With the step size d = softplus(low rank . dt_weight + dt_bias) and a = A * log2(e), token t turns the state h, of N
components, into

    h_n(t) = 2^(d(t) a_n) h_n(t-1) + d(t) u(t) B_n(t)        y(t) = sum over n of C_n(t) h_n(t) + D u(t)

Every array is laid out so that its last axis is one vector of LANES channels, a block. A task takes one image and one
block and walks along each direction, CHUNK tokens at a time: first the step sizes of the chunk's tokens, then the
recurrence for TILE components of the hidden state after the other, which stay in registers while the tokens pass. A
token's low-rank step size, B and C are the same for all channels: broadcasts, so nothing is summed over lanes.
Where no decay of a chunk under- or overflows, as usual, its exponentials are computed without a look at such limits.

For the backward pass the state before every chunk is saved. Tasks write to places of their own, and what a task adds
up it adds up in a fixed order: results are the same bits from run to run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numba

from medmamba_monai.selective_scan.numba.math import (
    WHOLE_LIMIT,
    absolute,
    all_less,
    exp2,
    exp2_within,
    flush_denormals,
    maximum,
    restore_denormals,
    softplus_and_slope,
)
from medmamba_monai.selective_scan.numba.vector import LANES, aligned, broadcast, load, splat, store

logger = logging.getLogger(__name__)

CHUNK = 64
TILE = 4
BIAS, SKIP, RATES = range(3)
DELTA, WEIGHTED, Y = range(3)


class Scan(NamedTuple):
    """Inputs of the kernels; V stands for LANES.

    All are float32 but ``order``; ``u`` and ``delta`` may be bfloat16, as uint16, and so may y and its gradient.

    Attributes:
        order: (K, L) uint32 token numbers.
        softplus: whether step sizes go through softplus.
        u: (B, L, blocks, V).
        projected: (B, L, K, R + 2 * N), N a multiple of TILE.
        delta: (B, L, K, blocks, V), added to the step size before the softplus, or empty.
        parameters: (K, blocks, 2 + N + R, V), in this order the row BIAS (dt_bias), the row SKIP (D), from row RATES on
            A * log2(e), so that a decay is a power of two, and last the R rows of dt_weight. One array instead of
            four: every array that is passed around costs the compiler time.
    """

    order: Any
    softplus: Any
    u: Any
    projected: Any
    delta: Any
    parameters: Any


def cached_kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a kernel over all threads, keeping the machine code on disk where a folder for it can be written."""
    kernel = partial(numba.njit, parallel=True, nogil=True, error_model="numpy")
    try:
        return kernel(cache=True)(function)
    except RuntimeError as error:
        logger.warning("%s: the scan is compiled in every process anew; set NUMBA_CACHE_DIR to a folder", error)
        return kernel()(function)


inner = numba.njit(nogil=True, error_model="numpy")


@inner
def sizes(scan: Scan) -> Any:
    """Return the rank R of the step size and the number N of states."""
    columns, rows = scan.projected.shape[3], scan.parameters.shape[2] - RATES
    return 2 * rows - columns, columns - rows


@inner
def step_size(scan: Scan, image: int, k: int, token: int, block: int) -> Any:
    """Return the step size of a token, and its slope, for the channels of a block."""
    rank, size = sizes(scan)
    raw = load(scan.parameters, (k, block, BIAS))
    for r in range(rank):
        weight = load(scan.parameters, (k, block, RATES + size + r))
        raw = raw + broadcast(scan.projected, (image, token, k, r)) * weight
    if scan.delta.size:
        raw = raw + load(scan.delta, (image, token, k, block))
    if scan.softplus:
        return softplus_and_slope(raw)
    return raw, splat(1.0)


@inner
def fill(array: Any, number: float) -> None:
    """Set all elements of an array to a number."""
    for i in range(array.size):
        array.flat[i] = number


@inner
def load_tile(array: Any, first: int) -> Any:
    """Return the TILE vectors of an array (rows, V) from row ``first`` on."""
    return (
        load(array, (first,)),
        load(array, (first + 1,)),
        load(array, (first + 2,)),
        load(array, (first + 3,)),
    )


@inner
def store_tile(array: Any, first: int, tile: Any) -> None:
    """Write what ``load_tile`` reads."""
    store(array, (first,), tile[0])
    store(array, (first + 1,), tile[1])
    store(array, (first + 2,), tile[2])
    store(array, (first + 3,), tile[3])


@inner
def _scan_tile(
    steps: Any, rows: Any, b: int, c: int, rates: Any, state: Any, first: int, tokens: Any, power: Any
) -> None:
    """Run the recurrence of a tile of states over a chunk of tokens.

    Args:
        steps: numbers of the tokens.
        rows: (L, R + 2 * N), ``projected`` of this image and direction; the tile's B begin at column b, its C at c.
        rates: (N, V).
        state: (N, V), the tile begins at row ``first``; before the chunk, then after it.
        tokens: (CHUNK, 3, V): DELTA, the step size; WEIGHTED, the step size times u; Y, the output, added to.
        power: 2**x as these tokens need it.
    """
    rate0, rate1, rate2, rate3 = load_tile(rates, first)
    h0, h1, h2, h3 = load_tile(state, first)
    for i in range(len(steps)):
        row = rows[steps[i]]
        delta, weighted, y = load(tokens, (i, DELTA)), load(tokens, (i, WEIGHTED)), load(tokens, (i, Y))
        h0 = power(delta * rate0) * h0 + weighted * broadcast(row, (b,))
        h1 = power(delta * rate1) * h1 + weighted * broadcast(row, (b + 1,))
        h2 = power(delta * rate2) * h2 + weighted * broadcast(row, (b + 2,))
        h3 = power(delta * rate3) * h3 + weighted * broadcast(row, (b + 3,))
        y = y + h0 * broadcast(row, (c,))
        y = y + h1 * broadcast(row, (c + 1,))
        y = y + h2 * broadcast(row, (c + 2,))
        y = y + h3 * broadcast(row, (c + 3,))
        store(tokens, (i, Y), y)
    store_tile(state, first, (h0, h1, h2, h3))


@inner
def find_fastest(rates: Any) -> Any:
    """Return the largest magnitude among rates (N, V) in every lane; what is not finite stays not finite."""
    fastest, total = splat(0.0), splat(0.0)
    for n in range(len(rates)):
        rate = absolute(load(rates, (n,)))
        fastest, total = maximum(fastest, rate), total + rate
    return fastest + total * 0.0


@inner
def _forward_task(scan: Scan, image: int, block: int, y: Any, states: Any) -> None:
    """Scan the channels of one block of one image along every direction."""
    (directions, length), (rank, size) = scan.order.shape, sizes(scan)
    tokens, state, total = aligned(CHUNK * 3).reshape((CHUNK, 3, LANES)), aligned(size), aligned(length)
    for k in range(directions):
        fill(state, 0.0)
        rows, skip = scan.projected[image, :, k], load(scan.parameters, (k, block, SKIP))
        rates = scan.parameters[k, block, RATES : RATES + size]
        fastest = find_fastest(rates)
        for start in range(0, length, CHUNK):
            steps, largest = scan.order[k, start : start + CHUNK], splat(0.0)
            # Save the states that the backward pass starts this chunk from.
            if states.size:
                for n in range(size):
                    store(states, (image, k, start // CHUNK, block, n), load(state, (n,)))
            # Step sizes, weighted inputs and the skip connection of the chunk's tokens.
            for i in range(len(steps)):
                delta, _ = step_size(scan, image, k, steps[i], block)
                u = load(scan.u, (image, steps[i], block))
                largest = maximum(largest, absolute(delta))
                store(tokens, (i, DELTA), delta)
                store(tokens, (i, WEIGHTED), delta * u)
                y_token = skip * u
                if k > 0:
                    y_token = y_token + load(total, (steps[i],))
                store(tokens, (i, Y), y_token)
            # The recurrence, a tile of states after the other.
            if all_less(largest * fastest, splat(WHOLE_LIMIT)):
                for n in range(0, size, TILE):
                    _scan_tile(steps, rows, rank + n, rank + size + n, rates, state, n, tokens, exp2_within)
            else:
                for n in range(0, size, TILE):
                    _scan_tile(steps, rows, rank + n, rank + size + n, rates, state, n, tokens, exp2)
            # Outputs wait at the places of their tokens, where the next direction adds its own.
            for i in range(len(steps)):
                store(total, (steps[i],), load(tokens, (i, Y)))
    for token in range(length):
        store(y, (image, token, block), load(total, (token,)))


@cached_kernel
def forward_kernel(
    order: Any, softplus: Any, u: Any, projected: Any, delta: Any, parameters: Any, y: Any, states: Any
) -> None:
    """Fill ``y`` (B, L, blocks, V) from the members of a :class:`Scan`, and ``states`` unless it is empty.

    ``states`` (B, K, chunks, blocks, N, V) receives the state before each chunk.
    """
    blocks = u.shape[2]
    for task in numba.prange(u.shape[0] * blocks):
        scan = Scan(order, softplus, u, projected, delta, parameters)
        mode = flush_denormals()
        _forward_task(scan, task // blocks, task % blocks, y, states)
        restore_denormals(mode)
