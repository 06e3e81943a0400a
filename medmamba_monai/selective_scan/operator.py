"""The fused scan as a PyTorch operator: ``torch.ops.medmamba_monai.directional_scan``.

Three operators share the work. ``directional_scan`` is what a network calls; it checks its inputs, settles dtype and
backend, and is made of the other two. ``directional_scan_forward`` returns the output and, where a gradient will be
wanted, the hidden states that its backend wants to see again; ``directional_scan_backward`` takes them and returns
every gradient. Tracers (``torch.compile``, ``torch.export``) see operators with inferred shapes, never their inside.

The inner two also scan sequences with step sizes of their own, for
:func:`~medmamba_monai.selective_scan.sequences.selective_scan`.

Operators take no objects, so each packs its arguments into :class:`~medmamba_monai.selective_scan.inputs.ScanInputs`
first and has the backend's name beside them; their schemas below are the only other place that lists the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import BACKENDS, choose_backend
from medmamba_monai.selective_scan.inputs import ScanInputs, choose_dtype


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

    Autocast does not change the result: inputs of lower precision are computed in float32. The function can be
    scripted; gradients of gradients exist with ``backend="reference"`` only.

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
        (B, L, C), float32; float64 if all inputs are.

    Raises:
        ValueError: if shapes, dtypes or devices do not fit together.
        UserError: if the backend is unknown, not installed or unfit for the device or dtype.
    """
    return torch.ops.medmamba_monai.directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape, backend)


INPUTS = "Tensor u, Tensor projected, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, SymInt[] spatial_shape"
OF_SEQUENCES = "Tensor? delta=None, bool softplus=True"

_LIBRARY = torch.library.Library("medmamba_monai", "DEF")
_LIBRARY.define(f"directional_scan({INPUTS}, str backend) -> Tensor")


@torch.library.impl(_LIBRARY, "directional_scan", "CompositeImplicitAutograd")
def _directional_scan(*arguments: Any) -> Tensor:
    *of_scan, backend = arguments
    inputs = ScanInputs(*of_scan)
    inputs.check()
    dtype = choose_dtype(inputs.tensors)
    return scan(inputs, choose_backend(backend, inputs.u.device, dtype), dtype)


def scan(inputs: ScanInputs, backend: str, dtype: torch.dtype) -> Tensor:
    """Scan checked inputs.

    Args:
        inputs: of any floating dtypes.
        backend: name of a backend that runs here.
        dtype: dtype of the scan and of the result.

    Returns:
        y (B, L, C), differentiable.
    """
    inputs = inputs.convert(dtype, keep_half=BACKENDS[backend].half)
    if BACKENDS[backend].differentiable:
        return BACKENDS[backend].forward(inputs, False)[0]
    save_states = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs.tensors)
    return directional_scan_forward(*inputs[:7], backend, save_states, inputs.delta, inputs.softplus)[0]


def _make_rule_without_autocast(device_type: str) -> Callable[..., Tensor]:
    """Make the rule that computes the scan as if autocast was off, whatever the dtypes that arrive."""

    def rule(*arguments: Any) -> Tensor:
        with torch.autocast(device_type, enabled=False):
            return torch.ops.medmamba_monai.directional_scan(*arguments)

    return rule


torch.library.impl(_LIBRARY, "directional_scan", "AutocastCPU")(_make_rule_without_autocast("cpu"))
torch.library.impl(_LIBRARY, "directional_scan", "AutocastCUDA")(_make_rule_without_autocast("cuda"))


@torch.library.custom_op(
    "medmamba_monai::directional_scan_forward",
    mutates_args=(),
    schema=f"({INPUTS}, str backend, bool save_states, {OF_SEQUENCES}) -> (Tensor, Tensor)",
)
def directional_scan_forward(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Return y and the states that the backward pass of this backend needs, an empty tensor if they are not saved."""
    *of_scan, backend, save_states = arguments[:9]
    return BACKENDS[backend].forward(ScanInputs(*of_scan, *arguments[9:]), save_states)


@directional_scan_forward.register_fake
def _forward_shapes(*arguments: Any) -> tuple[Tensor, Tensor]:
    *of_scan, backend, save_states = arguments[:9]
    inputs = ScanInputs(*of_scan, *arguments[9:])
    shape = BACKENDS[backend].states_shape(inputs) if save_states else [0]
    return inputs.A.new_empty(inputs.u.shape), inputs.A.new_empty(shape)


@torch.library.custom_op(
    "medmamba_monai::directional_scan_backward",
    mutates_args=(),
    schema=f"(Tensor grad_y, Tensor states, {INPUTS}, str backend, {OF_SEQUENCES}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def directional_scan_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Return the gradients of u, projected, dt_weight, dt_bias, A, D and delta, the last one empty without a delta."""
    grad_y, states, *of_scan, backend = arguments[:10]
    inputs = ScanInputs(*of_scan, *arguments[10:])
    gradients = BACKENDS[backend].backward(grad_y, states, inputs)
    return gradients if inputs.delta is not None else (*gradients, inputs.A.new_empty(0))


@directional_scan_backward.register_fake
def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    _, _, *of_scan, _ = arguments[:10]
    inputs = ScanInputs(*of_scan, *arguments[10:])
    delta = inputs.A.new_empty(0) if inputs.delta is None else inputs.delta
    return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (*inputs[:6], delta))


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, spatial_shape, backend, save_states, delta, softplus = inputs
    ctx.save_for_backward(output[1], *tensors, delta)
    ctx.mark_non_differentiable(output[1])
    ctx.save_states, ctx.arguments = save_states, (spatial_shape, backend, softplus)


def _backward(ctx: Any, grad_y: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    states, *tensors, delta = ctx.saved_tensors
    spatial_shape, backend, softplus = ctx.arguments
    if not ctx.save_states:  # under vmap nothing seems to need a gradient when the scan is called
        states = directional_scan_forward(*tensors, spatial_shape, backend, True, delta, softplus)[1]
    gradients = directional_scan_backward(grad_y, states, *tensors, spatial_shape, backend, delta, softplus)
    *gradients, grad_delta = gradients
    return *gradients, None, None, None, None if delta is None else grad_delta, None


def _no_second_derivative(ctx: Any, *_: Tensor) -> None:
    raise NotImplementedError(
        "gradients of gradients need directional_scan(..., backend='reference'): the other backends differentiate once"
    )


directional_scan_forward.register_autograd(_backward, setup_context=_save_for_backward)
directional_scan_backward.register_autograd(_no_second_derivative)
