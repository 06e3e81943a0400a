"""The scan through mamba_ssm's CUDA kernel, where that is installed.

The kernel knows one direction and one sequence a channel, so here the fused operator is spelt out: every direction's
tokens are gathered in their order, the K directions become K groups of channels, one call scans them all, and the
outputs are put back in row-major order and added up.

The public function of the package is preferred. Importing it needs more than the kernel, so where only the extension
module ``selective_scan_cuda`` imports, that is called directly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backend import UNIMPORTABLE, Backend
from medmamba_monai.selective_scan.chunked import chunked_directional_scan, chunked_selective_scan
from medmamba_monai.selective_scan.directions import scan_orders, scan_positions
from medmamba_monai.selective_scan.inputs import ScanInputs


def mamba_directional_scan(inputs: ScanInputs, scan: Callable[..., Tensor] | None = None) -> Tensor:
    """Compute :func:`medmamba_monai.selective_scan.directional_scan` with sequences that exist in memory.

    Args:
        inputs: in float32.
        scan: function with the signature of mamba_ssm's ``selective_scan_fn``, None for the installed one.

    Returns:
        y (B, L, C), differentiable once.
    """
    u, projected, dt_weight, dt_bias, A, D, spatial_shape, added_delta, softplus = inputs
    if u.shape[0] == 0:
        return chunked_directional_scan(inputs)
    scan = scan or load_scan()
    orders = scan_orders(list(spatial_shape), u.device)[: inputs.directions]
    sequences = torch.stack([projected[:, order, k] for k, order in enumerate(orders)], dim=1)
    low_rank, B, C = sequences.mT.split([inputs.rank, inputs.state_size, inputs.state_size], dim=2)
    delta = torch.matmul(dt_weight, low_rank)
    if added_delta is not None:
        delta = delta + torch.stack([added_delta[:, order, k] for k, order in enumerate(orders)], dim=1).mT
    y = scan(
        u.mT[:, :, orders].transpose(1, 2).flatten(1, 2),
        delta.flatten(1, 2),
        A.flatten(0, 1),
        B.contiguous(),
        C.contiguous(),
        D.flatten(),
        delta_bias=dt_bias.flatten(),
        delta_softplus=softplus,
    )
    positions = scan_positions(list(spatial_shape), u.device)[: inputs.directions]
    by_direction = y.unflatten(1, dt_bias.shape)
    merged = torch.stack([by_direction[:, k, :, position] for k, position in enumerate(positions)]).sum(0)
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
        return wrap_extension(importlib.import_module("selective_scan_cuda"))


def wrap_extension(extension: Any) -> Callable[..., Tensor]:
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


class MambaSsmBackend(Backend):
    """The kernel of mamba_ssm, which brings its own gradient and scans float32."""

    name, speed = "mamba_ssm", 3
    modules = ("mamba_ssm.ops.selective_scan_interface", "selective_scan_cuda")
    install = "pip install --no-build-isolation 'medmamba-monai[mamba]'"
    device = "cuda"
    traceable = False
    differentiable = True

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Run :func:`mamba_directional_scan`; what its gradient needs it keeps itself."""
        return mamba_directional_scan(inputs), inputs.u.new_empty(0)

    def get_sequence_scan(self) -> Callable[..., Tensor]:
        """Return mamba_ssm's function, in front of which an empty batch is caught."""

        def scan(u: Tensor, **others: Any) -> Tensor:
            return (load_scan() if len(u) else chunked_selective_scan)(u, **others)

        return scan
