"""The fused scan as a PyTorch operator: ``torch.ops.medmamba_monai.directional_scan``.

It is what a network calls; it checks its inputs, settles dtype and backend, and is made of the two operators of
:mod:`~medmamba_monai.selective_scan.kernel_operators`, which
:mod:`~medmamba_monai.selective_scan.autograd` differentiates. These also scan sequences with step sizes of their own,
for :func:`~medmamba_monai.selective_scan.sequences.selective_scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.autograd import DifferentiableScan
from medmamba_monai.selective_scan.backends import BACKENDS, choose_backend
from medmamba_monai.selective_scan.inputs import ScanInputs, choose_dtype
from medmamba_monai.selective_scan.kernel_operators import INPUTS


def directional_scan(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: list[int],
    backend: str = "auto",
) -> Tensor:
    """Scan the tokens of a map along all its directions and add the outputs up (2D selective scan, section 3.1).

    Each of the K = 2 * len(spatial_shape) directions visits the L tokens in its own order
    (:func:`~medmamba_monai.selective_scan.directions.scan_orders`) and runs the selective state space model of
    :mod:`~medmamba_monai.selective_scan.reference` over them.
    The fused backends never build the K input sequences (triton writes K outputs, then adds them up).

    Inputs of lower precision are computed in float32, under autocast too; there a backend that writes what it reads
    (numba) rounds y to the dtype of ``u``, as the other operations of autocast do. The function can be
    scripted, mapped and differentiated both ways by ``torch.func``; gradients of gradients exist with
    ``backend="reference"`` only.

    Args:
        u: (B, L, C); this and the next six are described in
            :class:`~medmamba_monai.selective_scan.inputs.ScanInputs`.
        projected: (B, L, K, R + 2 * N).
        dt_weight: (K, C, R).
        dt_bias: (K, C).
        A: (K, C, N).
        D: (K, C).
        spatial_shape: size of each axis, for example [height, width].
        backend: ``auto`` or one of :data:`~medmamba_monai.selective_scan.backends.BACKENDS`.

    Returns:
        (B, L, C), float32; float64 if all inputs are; with numba under autocast the dtype of ``u``.

    Raises:
        ValueError: if shapes, dtypes or devices do not fit together.
        UserError: if the backend is unknown, not installed or unfit for the device or dtype.
    """
    return torch.ops.medmamba_monai.directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape, backend)


_LIBRARY = torch.library.Library("medmamba_monai", "DEF")
_LIBRARY.define(f"directional_scan({INPUTS}, str backend) -> Tensor")


@torch.library.impl(_LIBRARY, "directional_scan", "CompositeImplicitAutograd")
def _directional_scan(*arguments: Any, autocast: bool = False) -> Tensor:
    *of_scan, backend = arguments
    inputs = ScanInputs(*of_scan)
    inputs.check()
    dtype = choose_dtype(inputs.tensors)
    return scan(inputs, choose_backend(backend, inputs.u.device, dtype), dtype, autocast)


# torch.func's transforms would split the operator only when they are past the rules of DifferentiableScan.
torch.library.impl(_LIBRARY, "directional_scan", "FuncTorchDynamicLayerFrontMode")(_directional_scan)


def scan(inputs: ScanInputs, backend: str, dtype: torch.dtype, autocast: bool = False) -> Tensor:
    """Scan checked inputs.

    Args:
        inputs: of any floating dtypes.
        backend: name of a backend that runs here.
        dtype: dtype of the scan, and of the result.
        autocast: whether the result may have the lower precision of ``u`` instead.

    Returns:
        y (B, L, C), differentiable.
    """
    half, writes_half = BACKENDS[backend].half, BACKENDS[backend].writes_half
    inputs = inputs.convert(dtype, keep_half=half and (autocast or not writes_half))
    if BACKENDS[backend].differentiable:
        return BACKENDS[backend].forward(inputs, False)[0]
    save_states = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs.tensors)
    return _apply(*inputs[:7], backend, save_states, inputs.delta, inputs.softplus)


@torch.compiler.allow_in_graph  # torch.compile cannot look into a Function that has a rule for tangents
def _apply(*arguments: Any) -> Tensor:
    return DifferentiableScan.apply(*arguments)[0]


def _make_rule_without_autocast(device_type: str) -> Callable[..., Tensor]:
    """Make the rule that computes the scan as if autocast was off, but for the dtype of what it returns."""

    def rule(*arguments: Any) -> Tensor:
        with torch.autocast(device_type, enabled=False):
            return _directional_scan(*arguments, autocast=True)

    return rule


torch.library.impl(_LIBRARY, "directional_scan", "AutocastCPU")(_make_rule_without_autocast("cpu"))
torch.library.impl(_LIBRARY, "directional_scan", "AutocastCUDA")(_make_rule_without_autocast("cuda"))
