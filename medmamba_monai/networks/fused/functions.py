"""The operators of a block with their gradients.

Each function calls one operator of :mod:`~medmamba_monai.networks.fused.operators` forwards and one backwards. They
are differentiated once, backwards; for everything else a block has its plain operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from medmamba_monai.networks.fused import operators  # noqa: F401 (defines the operators)

_OPS: Any = torch.ops.medmamba_monai


class CastTogether(Function):
    """Parameters in another dtype, all by one operation, and so their gradients back."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return a copy of each parameter in ``dtype``."""
        ctx.dtypes = [parameter.dtype for parameter in parameters]
        return _copy_together(parameters, [dtype] * len(parameters))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of each parameter in its own dtype."""
        return None, *_copy_together(gradients, ctx.dtypes)


def _copy_together(tensors: Sequence[Tensor], dtypes: Sequence[torch.dtype]) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


class NegativeExp(Function):
    """``negative_exp`` with its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return -exp(x)."""
        y = _OPS.negative_exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the gradient of x."""
        return grad * ctx.saved_tensors[0]


class SplitNorm(Function):
    """``split_norm`` with its gradient, which takes that of the residual connection along."""

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what goes to the convolutions, twice what goes to scan and gate, and the tokens themselves."""
        near, far, mean, deviation = _OPS.split_norm(tokens, weight, bias, eps, dtype)
        ctx.save_for_backward(tokens, mean, deviation, weight, bias)
        return near, far, far.view_as(far), tokens.view_as(tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of tokens, weight and bias."""
        grad, of_parameters = _OPS.split_norm_backward(*gradients, *ctx.saved_tensors)
        return grad, *of_parameters.unbind(), None, None


class SiluForTwo(Function):
    """SiLU for two users, whose gradients are added where they are used."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return SiLU of x twice, in the same memory."""
        ctx.save_for_backward(x)
        y = torch.nn.functional.silu(x)
        return y, y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, other: Tensor) -> Tensor:
        """Return the gradient of x."""
        return _OPS.silu_backward_of_sum(grad, other, *ctx.saved_tensors)


class NormGate(Function):
    """``norm_gate`` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
    ) -> Tensor:
        """Return the normalized and gated tokens."""
        out, mean, deviation = _OPS.norm_gate(y, gate, weight, bias, eps, dtype)
        ctx.save_for_backward(y, gate, mean, deviation, weight, bias)
        ctx.eps = eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of y, gate, weight and bias."""
        grad_y, grad_gate, of_parameters = _OPS.norm_gate_backward(grad, *ctx.saved_tensors, ctx.eps)
        return grad_y, grad_gate, *of_parameters.unbind(), None, None


class BatchNormRelu(Function):
    """``batch_norm_relu`` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, batches: Tensor, *options: Any
    ) -> Tensor:
        """Return the normalized map; the options are training, momentum, eps and whether ReLU follows."""
        out, *statistics = _OPS.batch_norm_relu(x, weight, bias, mean, var, batches, *options)
        ctx.training, _, ctx.eps, ctx.relu = options
        ctx.save_for_backward(x, out if ctx.relu else None, weight, mean, var, *statistics)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the map, weight and bias."""
        x, out, *others = ctx.saved_tensors
        out = x if out is None else out
        gradients = _OPS.batch_norm_relu_backward(grad, x, out, *others, ctx.training, ctx.eps, ctx.relu)
        return *gradients, *[None] * 7


class MergeBranches(Function):
    """``merge_branches`` with its gradient."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, near: Tensor, far: Tensor, keep: float, scaled: bool) -> Tensor:
        """Return the output of the block."""
        out, factor = _OPS.merge_branches(tokens, near, far, keep, scaled)
        ctx.save_for_backward(near, factor)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of tokens and of both branches."""
        return grad, *_OPS.merge_branches_backward(grad, *ctx.saved_tensors), None, None
