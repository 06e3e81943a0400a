"""The two operators that run a backend: the scan, and its gradient.

Tracers (``torch.compile``, ``torch.export``) see them with inferred shapes, never their inside. They carry no rule of
differentiation: :mod:`~medmamba_monai.selective_scan.autograd` is the one place for these.

Operators take no objects, so each packs its arguments into :class:`~medmamba_monai.selective_scan.inputs.ScanInputs`
first and has the backend's name beside them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import BACKENDS
from medmamba_monai.selective_scan.inputs import ScanInputs

INPUTS = "Tensor u, Tensor projected, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, SymInt[] spatial_shape"
OF_SEQUENCES = "Tensor? delta=None, bool softplus=True"


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
    dtype = inputs.u.dtype if BACKENDS[backend].writes_half else inputs.A.dtype
    return inputs.A.new_empty(inputs.u.shape, dtype=dtype), inputs.A.new_empty(shape)


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
