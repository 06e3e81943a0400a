"""Launch of the kernels: each function here does what the operator of its name in ``fused.operators`` does.

Tensors may be float32, float16 or bfloat16, and are made contiguous. With TRITON_INTERPRET=1 in the environment before
this module is imported, the same functions run on CPU tensors.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from medmamba_monai.networks.fused.operators import draw_factor
from medmamba_monai.networks.fused.triton.elementwise import (
    ELEMENTS,
    merge_backward_kernel,
    merge_kernel,
    negative_exp_kernel,
    silu_backward_of_sum_kernel,
)
from medmamba_monai.networks.fused.triton.norms import (
    norm_gate_backward_kernel,
    norm_gate_kernel,
    split_norm_backward_kernel,
    split_norm_kernel,
)
from medmamba_monai.selective_scan.triton.launch import start_kernel

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
PROGRAMS = 512
"""Most programs of a kernel that sums over rows: four for each multiprocessor of an H100 or H200, all at once there."""
NUMBERS = 1024
"""Numbers of the rows that a program has at a time; longer rows come one by one."""


def negative_exp(x: Tensor) -> Tensor:
    """Return -exp(x)."""
    x = x.contiguous()
    target = torch.empty_like(x)
    _start_elementwise(negative_exp_kernel, (x, target), x.numel())
    return target


def silu_backward_of_sum(grad: Tensor, other: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of x, where SiLU of it was used twice."""
    x = x.contiguous()
    target = torch.empty_like(x)
    _start_elementwise(silu_backward_of_sum_kernel, (grad.contiguous(), other.contiguous(), x, target), x.numel())
    return target


def split_norm(
    tokens: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split tokens (B, S, M) and normalize the second half; see :func:`~..operators.split_norm`."""
    tokens, width = tokens.contiguous(), weight.numel()
    shape = tokens.shape[:-1]
    near, far = (tokens.new_empty(*shape, width, dtype=dtype) for _ in range(2))
    mean, deviation = (tokens.new_empty(*shape, 1, dtype=torch.float32) for _ in range(2))
    rows = mean.numel()
    tensors = tokens, weight.contiguous(), bias.contiguous(), near, far, mean, deviation
    start_kernel(split_norm_kernel, _count_blocks(rows, width), (*tensors, rows, width, eps), _size_rows(width))
    return near, far, mean, deviation


def split_norm_backward(
    grad_near: Tensor,
    grad_far: Tensor,
    grad_gate: Tensor,
    grad_tokens: Tensor,
    tokens: Tensor,
    mean: Tensor,
    deviation: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the tokens, and of weight and bias (2, H)."""
    width, rows = weight.numel(), mean.numel()
    grad = torch.empty_like(tokens, memory_format=torch.contiguous_format)
    programs = min(_count_blocks(rows, width), PROGRAMS)
    sums = mean.new_empty(programs, 2, width)
    sources = grad_near, grad_far, grad_gate, grad_tokens, tokens, mean, deviation, weight
    tensors = (*(source.contiguous() for source in sources), grad, sums)
    start_kernel(split_norm_backward_kernel, programs, (*tensors, rows, width, programs), _size_rows(width))
    return grad, sums.sum(0).to(weight.dtype)


def norm_gate(
    y: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize (B, L, C) and multiply it by SiLU of the gate; see :func:`~..operators.norm_gate`."""
    y, width = y.contiguous(), weight.numel()
    out = torch.empty_like(y, dtype=dtype)
    mean, deviation = (y.new_empty(*y.shape[:-1], 1, dtype=torch.float32) for _ in range(2))
    rows = mean.numel()
    tensors = y, gate.contiguous(), weight.contiguous(), bias.contiguous(), out, mean, deviation
    start_kernel(norm_gate_kernel, _count_blocks(rows, width), (*tensors, rows, width, eps), _size_rows(width))
    return out, mean, deviation


def norm_gate_backward(
    grad: Tensor, y: Tensor, gate: Tensor, mean: Tensor, deviation: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of y and gate, and of weight and bias (2, C)."""
    width, rows = weight.numel(), mean.numel()
    grad_y = torch.empty_like(y, dtype=weight.dtype, memory_format=torch.contiguous_format)
    grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
    programs = min(_count_blocks(rows, width), PROGRAMS)
    sums = mean.new_empty(programs, 2, width)
    sources = grad, y, gate, mean, deviation, weight, bias
    tensors = (*(source.contiguous() for source in sources), grad_y, grad_gate, sums)
    start_kernel(norm_gate_backward_kernel, programs, (*tensors, rows, width, programs), _size_rows(width))
    return grad_y, grad_gate, sums.sum(0).to(weight.dtype)


def merge_branches(tokens: Tensor, near: Tensor, far: Tensor, keep: float, scaled: bool) -> tuple[Tensor, Tensor]:
    """Interleave both branches and add them to the tokens; see :func:`~..operators.merge_branches`."""
    factor = draw_factor(far, keep, scaled)
    tokens, count = tokens.contiguous(), near.numel()
    out = torch.empty_like(tokens, dtype=torch.promote_types(tokens.dtype, near.dtype))
    tensors = tokens, near.contiguous(), far.contiguous(), _or_any(factor, near), out
    _start_elementwise(merge_kernel, tensors, count, count // len(near), SCALED=factor.numel() > 0)
    return out, factor


def merge_branches_backward(grad: Tensor, near: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of both branches; that of the tokens is ``grad`` itself."""
    near, count = near.contiguous(), near.numel()
    grad_near, grad_far = torch.empty_like(near), torch.empty_like(near)
    tensors = grad.contiguous(), near, _or_any(factor, near), grad_near, grad_far
    _start_elementwise(merge_backward_kernel, tensors, count, count // len(near), SCALED=factor.numel() > 0)
    return grad_near, grad_far


def _or_any(factor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor with memory, where a kernel wants an address that it will not read."""
    return factor if factor.numel() else other


def _size_rows(width: int) -> dict[str, Any]:
    """Return how many rows of a width a program has at a time, and how many threads read them."""
    block = triton.next_power_of_2(width)
    return {"ROWS": max(NUMBERS // block, 1), "BLOCK": block, "num_warps": 4 if block <= 2 * NUMBERS else 8}


def _count_blocks(rows: int, width: int) -> int:
    return int(triton.cdiv(rows, _size_rows(width)["ROWS"]))


def _start_elementwise(kernel: Any, tensors: tuple[Tensor, ...], count: int, *more: int, **constants: Any) -> None:
    elements = ELEMENTS.value
    start_kernel(
        kernel, int(triton.cdiv(count, elements)), (*tensors, count, *more), {"ELEMENTS": elements, **constants}
    )
