"""The scan through mamba_ssm's CUDA kernel, where that is installed.

The kernel knows one direction and one sequence a channel, so here the fused operator is spelt out: every direction's
tokens are gathered in their order, the K directions become K groups of channels, one call scans them all, and the
outputs are put back in row-major order and added up.

The public function of the package is preferred. Importing it needs more than the kernel, so where only the extension
module ``selective_scan_cuda`` imports, that is called directly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import UNIMPORTABLE
from medmamba_monai.selective_scan.chunked import chunked_directional_scan
from medmamba_monai.selective_scan.directions import scan_orders


def mamba_directional_scan(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    scan: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Compute :func:`medmamba_monai.selective_scan.directional_scan` with sequences that exist in memory.

    Args:
        u: (B, L, C), as the other tensors and ``spatial_shape`` those of the operator, in float32.
        scan: function with the signature of mamba_ssm's ``selective_scan_fn``, None for the installed one.

    Returns:
        y (B, L, C), differentiable once.
    """
    if u.shape[0] == 0:
        return chunked_directional_scan(u, projected, dt_weight, dt_bias, A, D, list(spatial_shape))
    scan = scan or load_scan()
    orders = scan_orders(list(spatial_shape), u.device)
    sequences = torch.stack([projected[:, order, k] for k, order in enumerate(orders)], dim=1)
    low_rank, B, C = sequences.mT.split([dt_weight.shape[2], A.shape[2], A.shape[2]], dim=2)
    y = scan(
        u.mT[:, :, orders].transpose(1, 2).flatten(1, 2),
        torch.matmul(dt_weight, low_rank).flatten(1, 2),
        A.flatten(0, 1),
        B.contiguous(),
        C.contiguous(),
        D.flatten(),
        delta_bias=dt_bias.flatten(),
        delta_softplus=True,
    )
    back = torch.argsort(orders, dim=1)
    by_direction = y.unflatten(1, dt_bias.shape)
    merged = torch.stack([by_direction[:, k, :, order] for k, order in enumerate(back)]).sum(0)
    return merged.mT.contiguous()


@cache
def load_scan() -> Callable[..., Tensor]:
    """Return mamba_ssm's ``selective_scan_fn``, or its equal on the bare extension module.

    Raises:
        ImportError: if neither is installed.
    """
    try:
        return importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    except UNIMPORTABLE:
        return scan_of_extension(importlib.import_module("selective_scan_cuda"))


def scan_of_extension(extension: Any) -> Callable[..., Tensor]:
    """Make a differentiable function of the extension module's ``fwd`` and ``bwd``.

    Args:
        extension: ``selective_scan_cuda`` of a released mamba_ssm 2.

    Returns:
        function (u, delta, A, B, C, D, delta_bias, delta_softplus) -> y with the shapes of
        :func:`medmamba_monai.selective_scan.reference.reference_selective_scan`, B and C with groups.
    """

    class ExtensionScan(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, softplus: bool, *tensors: Tensor) -> Tensor:
            u, delta, A, B, C, D, delta_bias = tensors
            y, states, *_ = extension.fwd(u, delta, A, B, C, D, None, delta_bias, softplus)
            ctx.save_for_backward(*tensors, states)
            ctx.softplus = softplus
            return y

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
            u, delta, A, B, C, D, delta_bias, states = ctx.saved_tensors
            arguments = (grad_y.contiguous(), states, None, None, ctx.softplus, False)
            du, ddelta, dA, dB, dC, dD, dbias, *_ = extension.bwd(u, delta, A, B, C, D, None, delta_bias, *arguments)
            return None, du, ddelta, dA, dB, dC, dD, dbias

    def scan(
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None = None,
        delta_bias: Tensor | None = None,
        delta_softplus: bool = False,
    ) -> Tensor:
        D = u.new_zeros(u.shape[1]) if D is None else D
        delta_bias = u.new_zeros(u.shape[1]) if delta_bias is None else delta_bias
        B, C = (matrix if matrix.ndim == 4 else matrix[:, None] for matrix in (B, C))
        tensors = (tensor.contiguous() for tensor in (u, delta, A, B, C, D, delta_bias))
        return ExtensionScan.apply(delta_softplus, *tensors)

    return scan
