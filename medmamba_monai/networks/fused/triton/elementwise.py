"""What a block does number by number, each a single kernel. All arithmetic is float32."""

# Triton's language has types that mypy does not know.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

ELEMENTS = tl.constexpr(1024)
"""Numbers of a branch that a program has."""


@triton.jit(do_not_specialize=["count", "image"])
def merge_kernel(tokens, near, far, factor, out, count, image, SCALED: tl.constexpr, ELEMENTS: tl.constexpr):
    """Interleave ReLU of the near half with the far half, and add both to the tokens.

    Args:
        tokens: (2 * count,).
        near: (count,) before its ReLU.
        far: (count,).
        factor: what the far half of each image is multiplied by; not read unless SCALED.
        out: (2 * count,) receives the sums.
        count: numbers of a half.
        image: numbers of a half that belong to one image.
        SCALED: whether there is a factor.
        ELEMENTS: numbers of a half that a program has.
    """
    first = tl.program_id(0).to(tl.int64) * ELEMENTS
    i = first + tl.arange(0, ELEMENTS)
    inside = i < count
    kept = tl.load(far + i, mask=inside, other=0.0).to(tl.float32)
    if SCALED:
        kept *= tl.load(factor + i // image, mask=inside, other=0.0).to(tl.float32)
    folded = tl.load(near + i, mask=inside, other=0.0).to(tl.float32)
    folded = tl.where(folded < 0, 0.0, folded)  # not the larger of both, which would hide a NaN
    both = first * 2 + tl.arange(0, 2 * ELEMENTS)
    x = tl.load(tokens + both, mask=both < 2 * count, other=0.0).to(tl.float32)
    tl.store(out + both, x + tl.reshape(tl.join(folded, kept), [2 * ELEMENTS]), mask=both < 2 * count)


@triton.jit(do_not_specialize=["count", "image"])
def merge_backward_kernel(
    grad, near, factor, grad_near, grad_far, count, image, SCALED: tl.constexpr, ELEMENTS: tl.constexpr
):
    """Return the gradients of both halves of what ``merge_kernel`` made.

    Args:
        grad: (2 * count,).
        near: (count,).
        factor: as there.
        grad_near: (count,) receives the gradient of the near half.
        grad_far: (count,) receives that of the far half.
        count: numbers of a half.
        image: numbers of a half that belong to one image.
        SCALED: whether there is a factor.
        ELEMENTS: numbers of a half that a program has.
    """
    first = tl.program_id(0).to(tl.int64) * ELEMENTS
    i = first + tl.arange(0, ELEMENTS)
    inside = i < count
    both = first * 2 + tl.arange(0, 2 * ELEMENTS)
    g = tl.load(grad + both, mask=both < 2 * count, other=0.0).to(tl.float32)
    of_near, of_far = tl.split(tl.reshape(g, [ELEMENTS, 2]))
    x = tl.load(near + i, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad_near + i, tl.where(x <= 0, 0.0, of_near), mask=inside)
    if SCALED:
        of_far *= tl.load(factor + i // image, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad_far + i, of_far, mask=inside)


@triton.jit(do_not_specialize=["count"])
def silu_backward_of_sum_kernel(grad, other, x, target, count, ELEMENTS: tl.constexpr):
    """Return the gradient of x, where SiLU of it was used twice: all (count,)."""
    i = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    inside = i < count
    g = tl.load(grad + i, mask=inside, other=0.0).to(tl.float32)
    g += tl.load(other + i, mask=inside, other=0.0).to(tl.float32)
    z = tl.load(x + i, mask=inside, other=0.0).to(tl.float32)
    share = 1 / (1 + tl.exp(-z))
    tl.store(target + i, g * share * (1 + z * (1 - share)), mask=inside)


@triton.jit(do_not_specialize=["count"])
def negative_exp_kernel(x, target, count, ELEMENTS: tl.constexpr):
    """Return -exp(x), all (count,)."""
    i = tl.program_id(0).to(tl.int64) * ELEMENTS + tl.arange(0, ELEMENTS)
    inside = i < count
    tl.store(target + i, -tl.exp(tl.load(x + i, mask=inside, other=0.0).to(tl.float32)), mask=inside)
