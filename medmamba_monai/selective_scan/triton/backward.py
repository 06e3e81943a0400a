"""The gradients of the fused scan as a Triton kernel. Letters are those of ``forward.py``.

Given the gradient g(t) of y(t), the gradient p_n(t) of the state h_n(t) is found against the walk:

    p_n(t) = g(t) C_n(t) + 2^(d(t+1) a_n) p_n(t+1)

The gradients of C_n and B_n are sums over channels, of g h_n and of p_n x. With e_n(t) = p_n(t) 2^(d(t) a_n) h_n(t-1),
that of A_n is the sum over t of d e_n. And with s = sum over n of p_n B_n, the gradient of u is s d + D g, and that of
the step size d is s u + sum over n of A_n e_n.

A program takes the chunks of its walk from the last to the first, each from the state that the forward kernel saved
before it. Inside a chunk the components n are the outer loop and the CHUNK tokens the inner one, unrolled: the chunk's
states and decays of one component fit into registers, so no exponential is computed twice, and 2 * CHUNK sums over
channels are due together, which makes them cheap (:func:`_sum_over_channels`).

No two programs write to the same place: what they write is added up afterwards, in an order that never changes.
"""

# Triton's language has no *values in a tuple (RUF005), and types that mypy does not know.
# ruff: noqa: RUF005
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

from medmamba_monai.selective_scan.triton.forward import (
    LOG2_E,
    VARYING,
    add_product,
    load_broadcast,
    load_channels,
    load_rows,
    prefetch_rows,
    step_size,
)

LANES = tl.constexpr(32)


@triton.jit
def _slope(step, SOFTPLUS: tl.constexpr):
    """Return the derivative of ``step_size``, which for softplus is 1 - exp(-step).

    For steps below 1 that is step times a polynomial (``slope`` of ``selective_scan/polynomials.py``: minimax, relative
    error 3e-9), which keeps the digits of small ones.
    """
    if not SOFTPLUS:
        return tl.full(step.shape, 1.0, tl.float32)
    series = 0.00012838072143495083 * step - 0.0012986637884750962
    series = series * step + 0.008273095823824406
    series = series * step - 0.04164557904005051
    series = series * step + 0.16666309535503387
    series = series * step - 0.4999997615814209
    series = series * step + 1.0
    return tl.where(step < 1, step * series, 1.0 - tl.exp2(step * -LOG2_E))


@triton.jit
def _sum_over_channels(values, COUNT: tl.constexpr):
    """Sum each of COUNT vectors over its LANES channels; lane i receives the sum of vector i modulo COUNT.

    COUNT is a power of two up to 32. Vectors are added up in pairs: each lane passes what it holds of one of the two to
    its partner, and receives what the partner holds of the other. Every exchange halves the number of vectors, so
    COUNT sums take about COUNT exchanges between lanes, not 5 * COUNT.
    """
    lane = tl.arange(0, LANES)
    sums = values
    for level in tl.static_range(5):
        partner = lane ^ (1 << level)
        if 1 << level < COUNT:
            upper = partner < lane
            halved = ()
            for i in tl.static_range(0, COUNT >> level, 2):
                kept = tl.where(upper, sums[i + 1], sums[i])
                passed = tl.where(upper, sums[i], sums[i + 1])
                halved = halved + (kept + tl.gather(passed, partner, 0),)
            sums = halved
        else:
            sums = (sums[0] + tl.gather(sums[0], partner, 0),)
    return sums[0]


@triton.jit
def _replay(h, a_n, g, steps, x, B, rows, CHUNK: tl.constexpr):
    """Repeat the forward walk of component n through a chunk.

    Returns the decay of each step, the decayed state before it, and the products whose sums are the gradients of C.
    """
    decays = ()
    decayed = ()
    grad_C = ()
    for t in tl.static_range(CHUNK):
        decays = decays + (tl.exp2(steps[t] * a_n),)
        decayed = decayed + (decays[t] * h,)
        h = decayed[t] + x[t] * tl.load(B + rows[t])
        grad_C = grad_C + (g[t] * h,)
    return decays, decayed, grad_C


@triton.jit
def _sweep_back(grad_h, a_n, g, steps, x, s, e, decays, decayed, B, C, rows, CHUNK: tl.constexpr):
    """Walk back through a chunk with the gradient of component n of the state, given that of the state behind.

    Returns the same for the chunk before, the gradient of A, s and e with this component added, and the products whose
    sums are the gradients of B.
    """
    grad_a = tl.full(a_n.shape, 0, tl.float32)
    grad_B = ()
    s_n = ()
    e_n = ()
    for t in tl.static_range(CHUNK - 1, -1, -1):
        grad_h += g[t] * tl.load(C + rows[t])
        grad_B = (grad_h * x[t],) + grad_B
        s_n = (s[t] + grad_h * tl.load(B + rows[t]),) + s_n
        e_t = grad_h * decayed[t]
        e_n = (e[t] + e_t * a_n,) + e_n
        grad_a += e_t * steps[t]
        grad_h *= decays[t]
    return grad_h, grad_a, s_n, e_n, grad_B


@triton.jit(do_not_specialize=VARYING)
def backward_kernel(
    grad_y,
    states,
    u,
    projected,
    delta,
    dt_weight,
    dt_bias,
    rate,
    skip,
    order,
    grad_u,
    grad_projected,
    grad_delta,
    grad_parameters,
    first,
    chunks,
    order_stride,
    batch,
    length,
    channels,
    DIRECTIONS: tl.constexpr,
    RANK: tl.constexpr,
    STATE_SIZE: tl.constexpr,
    CHUNK: tl.constexpr,
    HAS_DELTA: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    PREFETCH: tl.constexpr,
):
    """Write the parts of every gradient. Arguments not named here are those of ``forward_kernel``.

    Args:
        grad_y: (B, L, C) float32.
        states: as ``forward_kernel`` saved them.
        grad_u: (B, K, L, C) receives a part for each direction.
        grad_projected: (blocks, B, L, K, R + 2 * N) receives a part for each block of channels.
        grad_delta: (B, L, K, C), in the dtype of ``delta``.
        grad_parameters: (B, K, R + N + 2 + N, C), zeros; the program adds to its part. R rows are the gradient of
            ``dt_weight``, N that of A, one that of the bias and one that of D; N more hold p of the first step of the
            chunk behind, times its decay.
    """
    # Find the image, the direction and the channels of this program.
    COLUMNS: tl.constexpr = RANK + 2 * STATE_SIZE
    ROWS: tl.constexpr = COLUMNS + 2
    blocks = (channels + LANES - 1) // LANES
    program = tl.program_id(0)
    part = program % blocks
    k = program // blocks % DIRECTIONS
    image = (program // blocks // DIRECTIONS).to(tl.int64)
    walk = image * DIRECTIONS + k
    block = part * LANES
    c = block + tl.arange(0, LANES)
    mask = c < channels

    # Move the pointers to this image, direction and block of channels.
    order += k * order_stride
    grad_y += image * length * channels
    u += image * length * channels
    grad_u += walk * length * channels + c
    projected += (image * length * DIRECTIONS + k) * COLUMNS
    grad_projected += ((part * batch + image) * length * DIRECTIONS + k) * COLUMNS
    delta += (image * length * DIRECTIONS + k) * channels + c
    grad_delta += (image * length * DIRECTIONS + k) * channels + c
    states += ((walk + 1) * chunks - 1) * STATE_SIZE * channels  # the last chunk's; from there it goes back
    rate += k * STATE_SIZE * channels + c
    dt_weight += k * RANK * channels + c
    grad_dt_weight = grad_parameters + walk * ROWS * channels + c
    grad_A = grad_dt_weight + RANK * channels
    grad_dt_bias = grad_A + STATE_SIZE * channels
    grad_D = grad_dt_bias + channels
    carry = grad_D + channels
    bias = load_channels(dt_bias + k * channels + c, mask)
    D = load_channels(skip + k * channels + c, mask)
    sum_bias = tl.full([LANES], 0, tl.float32)
    sum_D = tl.full([LANES], 0, tl.float32)

    lane = tl.arange(0, LANES)
    of_second = lane // CHUNK  # 1 in lanes that receive the sums of a second row of tokens
    for done in tl.range(0, chunks):
        chunk = chunks - 1 - done
        start = chunk * CHUNK
        state = states + c

        # Raw step sizes of the chunk's tokens, their fixed part and then the product with the low rank.
        rows = ()
        raw = ()
        for t in tl.static_range(CHUNK):
            token = tl.load(order + start + t)
            rows = rows + (token * (DIRECTIONS * COLUMNS),)
            raw_t = bias
            if HAS_DELTA:
                raw_t += load_channels(delta + token.to(tl.int64) * DIRECTIONS * channels, mask)
            raw = raw + (raw_t,)
        if PREFETCH:
            next_chunk = tl.maximum(chunk - 1, 0)
            coming = tl.load(order + next_chunk * CHUNK + tl.arange(0, CHUNK)).to(tl.int64)
            prefetch_rows(projected, coming, DIRECTIONS * COLUMNS, 0, COLUMNS)
            prefetch_rows(u, coming, channels, block, LANES)
            prefetch_rows(grad_y, coming, channels, block, LANES)
            for n in tl.static_range(0, STATE_SIZE, LANES):
                components = tl.minimum(n + lane, STATE_SIZE - 1)
                prefetch_rows(states - (chunk - next_chunk) * STATE_SIZE * channels, components, channels, block, LANES)
        for r in tl.range(0, RANK, 4):
            weight = load_rows(dt_weight + r * channels, 4, channels, mask)
            added = ()
            for t in tl.static_range(CHUNK):
                low_rank = load_broadcast(projected + r + rows[t], 4, LANES)
                added = added + (add_product(raw[t], low_rank, weight, 4),)
            raw = added

        # Step sizes, inputs and gradients of the outputs; tokens that only pad count as zeros.
        g = ()
        steps = ()
        x = ()
        s = ()
        e = ()
        for t in tl.static_range(CHUNK):
            token = tl.load(order + start + t).to(tl.int64)
            inside = mask & (start + t >= first)
            u_t = load_channels(u + token * channels + c, inside)
            g = g + (load_channels(grad_y + token * channels + c, inside),)
            steps = steps + (step_size(raw[t], SOFTPLUS),)
            x = x + (steps[t] * u_t,)
            s = s + (tl.full([LANES], 0, tl.float32),)
            e = e + (tl.full([LANES], 0, tl.float32),)
            sum_D += g[t] * u_t

        # States: one component after the other through the chunk, forwards and then back.
        token_of_lane = tl.load(order + start + lane % CHUNK).to(tl.int64)
        row_of_lane = grad_projected + token_of_lane * (DIRECTIONS * COLUMNS)
        stored = (start + lane % CHUNK >= first) & (lane < 2 * CHUNK)
        a_n, h, grad_h = load_channels(rate, mask), load_channels(state, mask), load_channels(carry, mask)
        for n in tl.range(0, STATE_SIZE):
            sum_A = load_channels(grad_A + n * channels, mask)
            B, C = projected + RANK + n, projected + RANK + STATE_SIZE + n
            decays, decayed, grad_C = _replay(h, a_n, g, steps, x, B, rows, CHUNK)
            grad_h, grad_a, s, e, grad_B = _sweep_back(
                grad_h, a_n, g, steps, x, s, e, decays, decayed, B, C, rows, CHUNK
            )
            tl.store(carry + n * channels, grad_h, mask=mask)
            tl.store(grad_A + n * channels, sum_A + grad_a, mask=mask)
            next_n = tl.minimum(n + 1, STATE_SIZE - 1)
            a_n = load_channels(rate + next_n * channels, mask)
            h = load_channels(state + next_n * channels, mask)
            grad_h = load_channels(carry + next_n * channels, mask)
            sums = _sum_over_channels(grad_B + grad_C, 2 * CHUNK)
            tl.store(row_of_lane + RANK + n + of_second * STATE_SIZE, sums, mask=stored)

        # Gradients of u and of the raw step sizes.
        grad_raw = ()
        for t in tl.static_range(CHUNK):
            token = tl.load(order + start + t).to(tl.int64)
            inside = mask & (start + t >= first)
            u_t = load_channels(u + token * channels + c, inside)
            tl.store(grad_u + token * channels, s[t] * steps[t] + D * g[t], mask=inside)
            grad_raw = grad_raw + ((s[t] * u_t + e[t] / LOG2_E) * _slope(steps[t], SOFTPLUS),)
            if HAS_DELTA:
                tl.store(grad_delta + token * DIRECTIONS * channels, grad_raw[t], mask=inside)
            sum_bias += grad_raw[t]
        states -= STATE_SIZE * channels

        # Gradients of dt_weight and of the low-rank step sizes, four ranks at a time.
        for r in tl.range(0, RANK, 4):
            weight = load_rows(dt_weight + r * channels, 4, channels, mask)
            sum_weight = load_rows(grad_dt_weight + r * channels, 4, channels, mask)
            for t in tl.static_range(CHUNK):
                low_rank = load_broadcast(projected + r + rows[t], 4, LANES)
                added = ()
                for i in tl.static_range(4):
                    added = added + (sum_weight[i] + grad_raw[t] * low_rank[i],)
                sum_weight = added
            for i in tl.static_range(4):
                tl.store(grad_dt_weight + (r + i) * channels, sum_weight[i], mask=mask)
            for i in tl.static_range(0, 4, 2):
                products = ()
                for j in tl.static_range(2):
                    for t in tl.static_range(CHUNK):
                        products = products + (grad_raw[t] * weight[i + j],)
                sums = _sum_over_channels(products, 2 * CHUNK)
                tl.store(row_of_lane + r + i + of_second, sums, mask=stored)
    tl.store(grad_dt_bias, sum_bias, mask=mask)
    tl.store(grad_D, sum_D, mask=mask)
