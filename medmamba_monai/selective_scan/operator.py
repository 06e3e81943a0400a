"""The fused scan as a PyTorch operator: ``torch.ops.medmamba_monai.directional_scan``.

Three operators share the work. ``directional_scan`` is what a network calls; it checks its inputs, settles dtype and
backend, and is made of the other two. ``directional_scan_forward`` returns the output and, where a gradient will be
wanted, the hidden states that its backend wants to see again; ``directional_scan_backward`` takes them and returns
every gradient. Tracers (``torch.compile``, ``torch.export``) see operators with inferred shapes, never their inside.

A backend that brings its own gradient is a :class:`Kernel`. The others, ``reference`` and ``mamba_ssm``, are ordinary
differentiable functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import choose_backend
from medmamba_monai.selective_scan.reference import reference_directional_scan

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class Kernel(NamedTuple):
    """A backend with a backward pass of its own.

    Attributes:
        forward: (u, projected, dt_weight, dt_bias, A, D, spatial_shape, save_states) -> (y, states).
        backward: (grad_y, states, u, projected, dt_weight, dt_bias, A, D, spatial_shape) -> their six gradients.
        states_shape: (u, A) -> shape of ``states`` when they are saved.
    """

    forward: Callable[..., tuple[Tensor, Tensor]]
    backward: Callable[..., Gradients]
    states_shape: Callable[[Tensor, Tensor], list[int]]


def load_kernel(backend: str) -> Kernel:
    """Import the kernel of a backend when it is first used."""
    if backend == "numba":
        from medmamba_monai.selective_scan import numba_cpu

        return Kernel(numba_cpu.forward, numba_cpu.backward, numba_cpu.states_shape)
    from medmamba_monai.selective_scan import chunked

    return Kernel(chunked.forward, chunked.backward, chunked.states_shape)


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
    :mod:`~medmamba_monai.selective_scan.reference` over them, with step sizes
    ``softplus(projected_dt @ dt_weight.T + dt_bias)``. Nothing is expanded to K sequences by the fused backends.

    Autocast does not change the result: inputs of lower precision are computed in float32. The function can be
    scripted; gradients of gradients exist with ``backend="reference"`` only.

    Args:
        u: (B, L, C) tokens in row-major order, L = prod(spatial_shape).
        projected: (B, L, K, R + 2 * N), for each token and direction the low-rank step size, then B, then C.
        dt_weight: (K, C, R) from low rank to a step size a channel.
        dt_bias: (K, C).
        A: (K, C, N) decay rates, negative.
        D: (K, C) skip connections.
        spatial_shape: size of each axis, for example [height, width].
        backend: ``auto`` or one of :data:`~medmamba_monai.selective_scan.backends.BACKENDS`.

    Returns:
        (B, L, C), float32; float64 if all inputs are.

    Raises:
        ValueError: if shapes, dtypes or devices do not fit together.
        UserError: if the backend is unknown, not installed or unfit for the device or dtype.
    """
    return torch.ops.medmamba_monai.directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape, backend)


def check_inputs(inputs: Sequence[Tensor], spatial_shape: Sequence[int]) -> None:
    """Raise a ValueError that names the first input whose shape, dtype or device does not fit the others."""
    u, _, dt_weight, _, A, _ = inputs
    if u.ndim != 3 or dt_weight.ndim != 3 or A.ndim != 3:
        raise ValueError(
            "u must be (B, L, C), dt_weight (K, C, R) and A (K, C, N), "
            f"got {tuple(u.shape)}, {tuple(dt_weight.shape)} and {tuple(A.shape)}"
        )
    if not spatial_shape or any(size < 1 for size in spatial_shape):
        raise ValueError(f"spatial_shape must hold one or more sizes of at least 1, got {list(spatial_shape)}")
    (batch, _, channels), rank, state_size = u.shape, dt_weight.shape[2], A.shape[2]
    if channels < 1 or rank < 1 or state_size < 1:
        raise ValueError(f"there must be channels, a rank and states, got C = {channels}, R = {rank}, N = {state_size}")
    length, directions = math.prod(spatial_shape), 2 * len(spatial_shape)
    expected = {
        "u": (batch, length, channels),
        "projected": (batch, length, directions, rank + 2 * state_size),
        "dt_weight": (directions, channels, rank),
        "dt_bias": (directions, channels),
        "A": (directions, channels, state_size),
        "D": (directions, channels),
    }
    for (name, shape), tensor in zip(expected.items(), inputs, strict=True):
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} must have shape {shape} for spatial_shape {list(spatial_shape)}, got {tuple(tensor.shape)}"
            )
        if tensor.device != u.device:
            raise ValueError(f"{name} is on {tensor.device}, u is on {u.device}: all inputs must share a device")


def scan_dtype(inputs: Sequence[Tensor]) -> torch.dtype:
    """Return float64 if all inputs are float64, float32 if all are floating point and none is float64."""
    dtypes = {tensor.dtype for tensor in inputs}
    if dtypes == {torch.float64}:
        return torch.float64
    if torch.float64 in dtypes or not all(dtype.is_floating_point for dtype in dtypes):
        raise ValueError(
            f"inputs must be floating point, and all or none of them float64, got {sorted(map(str, dtypes))}"
        )
    return torch.float32


_LIBRARY = torch.library.Library("medmamba_monai", "DEF")
_LIBRARY.define(
    "directional_scan(Tensor u, Tensor projected, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, "
    "SymInt[] spatial_shape, str backend) -> Tensor"
)


@torch.library.impl(_LIBRARY, "directional_scan", "CompositeImplicitAutograd")
def _directional_scan(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    backend: str,
) -> Tensor:
    inputs = [u, projected, dt_weight, dt_bias, A, D]
    check_inputs(inputs, spatial_shape)
    dtype = scan_dtype(inputs)
    backend = choose_backend(backend, u.device, dtype)
    u, projected, dt_weight, dt_bias, A, D = inputs = [tensor.to(dtype) for tensor in inputs]
    if backend == "reference":
        return reference_directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape)
    if backend == "mamba_ssm":
        from medmamba_monai.selective_scan.mamba_cuda import mamba_directional_scan

        return mamba_directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape)
    save_states = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return directional_scan_forward(*inputs, spatial_shape, backend, save_states)[0]


for _device_type in ("cpu", "cuda"):
    torch.library.register_autocast("medmamba_monai::directional_scan", _device_type, torch.float32)


@torch.library.custom_op("medmamba_monai::directional_scan_forward", mutates_args=())
def directional_scan_forward(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    backend: str,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    """Return y and the states that the backward pass of this backend needs, an empty tensor if they are not saved."""
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    return load_kernel(backend).forward(*inputs, spatial_shape, save_states)


@directional_scan_forward.register_fake
def _forward_shapes(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    backend: str,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    shape = load_kernel(backend).states_shape(u, A) if save_states else [0]
    return torch.empty_like(u, memory_format=torch.contiguous_format), u.new_empty(shape)


@torch.library.custom_op("medmamba_monai::directional_scan_backward", mutates_args=())
def directional_scan_backward(
    grad_y: Tensor,
    states: Tensor,
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of u, projected, dt_weight, dt_bias, A and D."""
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    return load_kernel(backend).backward(grad_y, states, *inputs, spatial_shape)


@directional_scan_backward.register_fake
def _backward_shapes(
    grad_y: Tensor,
    states: Tensor,
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    backend: str,
) -> tuple[Tensor, ...]:
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, spatial_shape, backend, _ = inputs
    ctx.save_for_backward(output[1], *tensors)
    ctx.mark_non_differentiable(output[1])
    ctx.arguments = (spatial_shape, backend)


def _backward(ctx: Any, grad_y: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *directional_scan_backward(grad_y, *ctx.saved_tensors, *ctx.arguments), None, None, None


def _no_second_derivative(ctx: Any, *_: Tensor) -> None:
    raise NotImplementedError(
        "gradients of gradients need directional_scan(..., backend='reference'): the other backends differentiate once"
    )


directional_scan_forward.register_autograd(_backward, setup_context=_save_for_backward)
directional_scan_backward.register_autograd(_no_second_derivative)
