"""The fused scan as a PyTorch operator: ``torch.ops.medmamba_monai.directional_scan``.

Three operators share the work. ``directional_scan`` is what a network calls; it checks its inputs, settles dtype and
backend, and is made of the other two. ``directional_scan_forward`` returns the output and, where a gradient will be
wanted, the hidden states that its backend wants to see again; ``directional_scan_backward`` takes them and returns
every gradient. Tracers (``torch.compile``, ``torch.export``) see operators with inferred shapes, never their inside.

The inner two also scan sequences with step sizes of their own, for
:func:`~medmamba_monai.selective_scan.sequences.selective_scan`.

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


class Kernel(NamedTuple):
    """A backend with a backward pass of its own.

    Its functions take ``u``, ``projected``, ``dt_weight``, ``dt_bias``, ``A`` and ``D`` as ``directional_scan`` does,
    and walk along the first K directions of ``spatial_shape``, K being the length of ``dt_bias``. Two further arguments
    are given for sequences: ``delta`` (B, L, K, C), added to the step sizes, and whether these go through ``softplus``.

    Attributes:
        forward: (*inputs, spatial_shape, save_states[, delta, softplus]) -> (y, states).
        backward: (grad_y, states, *inputs, spatial_shape[, delta, softplus]) -> gradients of the inputs and of delta
            (None if that was not given), each in the dtype of its input.
        states_shape: (u, A) -> shape of ``states`` when they are saved.
        half: whether ``u``, ``projected`` and ``delta`` may be float16 or bfloat16.
    """

    forward: Callable[..., tuple[Tensor, Tensor]]
    backward: Callable[..., tuple[Any, ...]]
    states_shape: Callable[[Tensor, Tensor], list[int]]
    half: bool = False


def load_kernel(backend: str) -> Kernel:
    """Import the kernel of a backend when it is first used."""
    if backend == "numba":
        from medmamba_monai.selective_scan.numba import launch as numba_cpu

        return Kernel(numba_cpu.forward, numba_cpu.backward, numba_cpu.states_shape)
    if backend == "triton":
        from medmamba_monai.selective_scan.triton import launch as triton_gpu

        return Kernel(triton_gpu.forward, triton_gpu.backward, triton_gpu.states_shape, half=True)
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
    ``softplus(projected_dt @ dt_weight.T + dt_bias)``.
    The fused backends never build the K input sequences (triton writes K outputs, then adds them up).

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
    if backend not in ("reference", "mamba_ssm"):  # torch, too, has its gradient from a kernel here
        return fused_scan(inputs, spatial_shape, backend, dtype)
    u, projected, dt_weight, dt_bias, A, D = (tensor.to(dtype) for tensor in inputs)
    if backend == "reference":
        return reference_directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape)
    from medmamba_monai.selective_scan.mamba_ssm import mamba_directional_scan

    return mamba_directional_scan(u, projected, dt_weight, dt_bias, A, D, spatial_shape)


def fused_scan(
    inputs: Sequence[Tensor],
    spatial_shape: Sequence[int],
    backend: str,
    dtype: torch.dtype,
    delta: Tensor | None = None,
    softplus: bool = True,
) -> Tensor:
    """Scan with a backend that is a :class:`Kernel`; checked inputs (u, projected, dt_weight, dt_bias, A, D).

    Args:
        inputs: as for ``directional_scan``; K may be smaller, the first K directions are scanned then.
        spatial_shape: size of each axis.
        backend: name of the backend.
        dtype: dtype of the scan and of the result.
        delta: (B, L, K, C), added to the step sizes; ``dt_weight`` may have the rank 0 then.
        softplus: whether the step sizes go through softplus.

    Returns:
        y (B, L, C).
    """
    half = load_kernel(backend).half
    inputs = [_converted(tensor, dtype, half and i < 2) for i, tensor in enumerate(inputs)]
    delta = None if delta is None else _converted(delta, dtype, half)
    tensors = inputs if delta is None else [*inputs, delta]
    save_states = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return directional_scan_forward(*inputs, spatial_shape, backend, save_states, delta, softplus)[0]


def _converted(tensor: Tensor, dtype: torch.dtype, keep_half: bool) -> Tensor:
    """Convert to the dtype of the scan, unless the kernel does so by itself as it reads."""
    return tensor if keep_half and tensor.dtype in (torch.float16, torch.bfloat16) else tensor.to(dtype)


def _without_autocast(device_type: str) -> Callable[..., Tensor]:
    """Make the rule that computes the scan as if autocast was off, whatever the dtypes that arrive."""

    def rule(*arguments: Any) -> Tensor:
        with torch.autocast(device_type, enabled=False):
            return torch.ops.medmamba_monai.directional_scan(*arguments)

    return rule


torch.library.impl(_LIBRARY, "directional_scan", "AutocastCPU")(_without_autocast("cpu"))
torch.library.impl(_LIBRARY, "directional_scan", "AutocastCUDA")(_without_autocast("cuda"))


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
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return y and the states that the backward pass of this backend needs, an empty tensor if they are not saved."""
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    return load_kernel(backend).forward(*inputs, spatial_shape, save_states, *_for_sequences(delta, softplus))


def _for_sequences(delta: Tensor | None, softplus: bool) -> tuple[Any, ...]:
    """Return the further arguments of a kernel, none if it need not know them."""
    return () if delta is None and softplus else (delta, softplus)


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
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, Tensor]:
    shape = load_kernel(backend).states_shape(u, A) if save_states else [0]
    return A.new_empty(u.shape), A.new_empty(shape)


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
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of u, projected, dt_weight, dt_bias, A, D and delta, the last one empty without a delta."""
    inputs = (u, projected, dt_weight, dt_bias, A, D)
    sequence_options = _for_sequences(delta, softplus)
    gradients = load_kernel(backend).backward(grad_y, states, *inputs, spatial_shape, *sequence_options)
    if delta is None:
        gradients = (*gradients[:6], A.new_empty(0))
    of_u, of_projected, of_weight, of_bias, of_A, of_D, of_delta = gradients
    return of_u, of_projected, of_weight, of_bias, of_A, of_D, of_delta


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
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, ...]:
    inputs = (u, projected, dt_weight, dt_bias, A, D, A.new_empty(0) if delta is None else delta)
    return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs)


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
