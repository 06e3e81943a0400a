"""Layer norms with what stands before and behind them in a block, each a single kernel forwards and one backwards.

A program has a few whole rows, so that a row is read once. All arithmetic is float32, whatever the tensors' dtypes.
Backwards a program goes through many rows and keeps its sums for weight and bias; the sums of the programs are added up
afterwards, in an order that never changes.
"""

# Triton's language has types that mypy does not know.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

VARYING = ["rows", "width"]
# Written with Triton's builtins alone: the interpreter does not take what its standard library is made of.


@triton.jit
def _add(a, b):
    return a + b


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _normalize(x, inside, width, eps):
    """Return rows of mean 0 and variance 1, their means and reciprocal deviations; 0 outside."""
    mean = tl.reduce(x, 1, _add) / width
    centered = tl.where(inside, x - mean[:, None], 0.0)
    deviation = 1 / tl.sqrt(tl.reduce(centered * centered, 1, _add) / width + eps)
    return centered * deviation[:, None], mean, deviation


@triton.jit
def _norm_backward(grad, normed, weight, deviation, width):
    """Return the gradient of rows before a layer norm; ``normed`` is what it made of them without weight and bias."""
    grad *= weight
    along = tl.reduce(grad * normed, 1, _add) / width
    level = tl.reduce(grad, 1, _add) / width
    return (grad - normed * along[:, None] - level[:, None]) * deviation[:, None]


@triton.jit(do_not_specialize=VARYING)
def split_norm_kernel(
    tokens, weight, bias, near, far, means, deviations, rows, width, eps, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    """Copy the first half of each row of tokens, and normalize the second.

    Args:
        tokens: (rows, 2 * width).
        weight: of the norm, (width,).
        bias: of the norm, (width,).
        near: (rows, width) receives the first halves.
        far: (rows, width) receives the normalized second halves.
        means: (rows,) float32.
        deviations: (rows,) float32, reciprocal.
        rows: of the tokens.
        width: channels of a half.
        eps: of the norm.
        ROWS: rows of a program.
        BLOCK: a power of two from ``width``.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, BLOCK)
    of_width = channel < width
    inside = (row < rows)[:, None] & of_width[None, :]
    at = row[:, None] * width + channel[None, :]
    source = tokens + row[:, None] * width + at
    tl.store(near + at, tl.load(source, mask=inside, other=0.0), mask=inside)
    x = tl.load(source + width, mask=inside, other=0.0).to(tl.float32)
    normed, mean, deviation = _normalize(x, inside, width, eps)
    scale = tl.load(weight + channel, mask=of_width, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=of_width, other=0.0).to(tl.float32)
    tl.store(far + at, normed * scale[None, :] + shift[None, :], mask=inside)
    tl.store(means + row, mean, mask=row < rows)
    tl.store(deviations + row, deviation, mask=row < rows)


@triton.jit(do_not_specialize=[*VARYING, "programs"])
def split_norm_backward_kernel(
    grad_near,
    grad_far,
    grad_gate,
    grad_tokens,
    tokens,
    means,
    deviations,
    weight,
    grad,
    sums,
    rows,
    width,
    programs,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Return the gradient of tokens that were split and normalized.

    Args:
        grad_near: of the first half, (rows, width).
        grad_far: of the normalized half, by the scan, (rows, width).
        grad_gate: of the normalized half, by the gate, (rows, width).
        grad_tokens: by the residual connection, (rows, 2 * width).
        tokens: (rows, 2 * width).
        means: (rows,) float32.
        deviations: (rows,) float32.
        weight: of the norm, (width,).
        grad: (rows, 2 * width) receives the gradient.
        sums: (programs, 2, width) float32 receives those of weight and bias.
        rows: of the tokens.
        width: channels of a half.
        programs: how many there are.
        ROWS: rows that a program has at a time.
        BLOCK: a power of two from ``width``.
    """
    channel = tl.arange(0, BLOCK)
    of_width = channel < width
    scale = tl.load(weight + channel, mask=of_width, other=0.0).to(tl.float32)
    of_weight = tl.full([BLOCK], 0, tl.float32)
    of_bias = tl.full([BLOCK], 0, tl.float32)
    program = tl.program_id(0)
    for block in tl.range(program, (rows + ROWS - 1) // ROWS, programs):
        row = tl.full([], ROWS, tl.int64) * block + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & of_width[None, :]
        at = row[:, None] * width + channel[None, :]
        wide = row[:, None] * width + at
        mean = tl.load(means + row, mask=row < rows, other=0.0)
        deviation = tl.load(deviations + row, mask=row < rows, other=0.0)
        x = tl.load(tokens + wide + width, mask=inside, other=0.0).to(tl.float32)
        normed = tl.where(inside, (x - mean[:, None]) * deviation[:, None], 0.0)
        g = tl.load(grad_far + at, mask=inside, other=0.0).to(tl.float32)
        g += tl.load(grad_gate + at, mask=inside, other=0.0).to(tl.float32)
        of_weight += tl.reduce(g * normed, 0, _add)
        of_bias += tl.reduce(g, 0, _add)
        g = _norm_backward(g, normed, scale[None, :], deviation, width)
        g += tl.load(grad_tokens + wide + width, mask=inside, other=0.0).to(tl.float32)
        tl.store(grad + wide + width, g, mask=inside)
        g = tl.load(grad_near + at, mask=inside, other=0.0).to(tl.float32)
        g += tl.load(grad_tokens + wide, mask=inside, other=0.0).to(tl.float32)
        tl.store(grad + wide, g, mask=inside)
    own = sums + program * 2 * width + channel
    tl.store(own, of_weight, mask=of_width)
    tl.store(own + width, of_bias, mask=of_width)


@triton.jit(do_not_specialize=VARYING)
def norm_gate_kernel(
    y, gate, weight, bias, out, means, deviations, rows, width, eps, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    """Normalize rows and multiply them by SiLU of the gate.

    Args:
        y: (rows, width).
        gate: (rows, width).
        weight: of the norm, (width,).
        bias: of the norm, (width,).
        out: (rows, width) receives the products.
        means: (rows,) float32.
        deviations: (rows,) float32, reciprocal.
        rows: of y.
        width: channels.
        eps: of the norm.
        ROWS: rows of a program.
        BLOCK: a power of two from ``width``.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, BLOCK)
    of_width = channel < width
    inside = (row < rows)[:, None] & of_width[None, :]
    at = row[:, None] * width + channel[None, :]
    x = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    normed, mean, deviation = _normalize(x, inside, width, eps)
    scale = tl.load(weight + channel, mask=of_width, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=of_width, other=0.0).to(tl.float32)
    z = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
    gated = (normed * scale[None, :] + shift[None, :]) * z * _sigmoid(z)
    tl.store(out + at, gated, mask=inside)
    tl.store(means + row, mean, mask=row < rows)
    tl.store(deviations + row, deviation, mask=row < rows)


@triton.jit(do_not_specialize=[*VARYING, "programs"])
def norm_gate_backward_kernel(
    grad,
    y,
    gate,
    means,
    deviations,
    weight,
    bias,
    grad_y,
    grad_gate,
    sums,
    rows,
    width,
    programs,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Return the gradients of rows that were normalized and gated.

    Args:
        grad: of the products, (rows, width).
        y: (rows, width).
        gate: (rows, width).
        means: (rows,) float32.
        deviations: (rows,) float32.
        weight: of the norm, (width,).
        bias: of the norm, (width,).
        grad_y: (rows, width) receives the gradient of y.
        grad_gate: (rows, width) receives that of the gate.
        sums: (programs, 2, width) float32 receives those of weight and bias.
        rows: of y.
        width: channels.
        programs: how many there are.
        ROWS: rows that a program has at a time.
        BLOCK: a power of two from ``width``.
    """
    channel = tl.arange(0, BLOCK)
    of_width = channel < width
    scale = tl.load(weight + channel, mask=of_width, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=of_width, other=0.0).to(tl.float32)
    of_weight = tl.full([BLOCK], 0, tl.float32)
    of_bias = tl.full([BLOCK], 0, tl.float32)
    program = tl.program_id(0)
    for block in tl.range(program, (rows + ROWS - 1) // ROWS, programs):
        row = tl.full([], ROWS, tl.int64) * block + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & of_width[None, :]
        at = row[:, None] * width + channel[None, :]
        mean = tl.load(means + row, mask=row < rows, other=0.0)
        deviation = tl.load(deviations + row, mask=row < rows, other=0.0)
        x = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
        normed = tl.where(inside, (x - mean[:, None]) * deviation[:, None], 0.0)
        z = tl.load(gate + at, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        share = _sigmoid(z)
        of_gate = g * (normed * scale[None, :] + shift[None, :]) * share * (1 + z * (1 - share))
        tl.store(grad_gate + at, of_gate, mask=inside)
        g *= z * share
        of_weight += tl.reduce(g * normed, 0, _add)
        of_bias += tl.reduce(g, 0, _add)
        tl.store(grad_y + at, _norm_backward(g, normed, scale[None, :], deviation, width), mask=inside)
    own = sums + program * 2 * width + channel
    tl.store(own, of_weight, mask=of_width)
    tl.store(own + width, of_bias, mask=of_width)
