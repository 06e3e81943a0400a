"""The fused scan on a GPU: brings tensors into the layout of the Triton kernels and launches them.

Inputs may be float32, float16 or bfloat16; all arithmetic is float32. Kernels are compiled when they are first used,
for each combination of dtypes and of K, R and N.

With TRITON_INTERPRET=1 in the environment before this module is imported, the same functions run on CPU tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from medmamba_monai.selective_scan.directions import scan_orders
from medmamba_monai.selective_scan.triton.backward import LANES, backward_kernel
from medmamba_monai.selective_scan.triton.forward import forward_kernel

LOG2_E = 1 / math.log(2)
CHUNK = 16
"""Steps between saved states, a power of two up to 16: the sums over channels of two rows of it fill a warp."""


class LaunchConfig(NamedTuple):
    """How the kernels are launched.

    Attributes:
        forward_block: channels of a program of the forward kernel, 32 or a power of two above. One of the backward
            kernel has 32, one for each thread of a warp.
        max_registers: registers that a thread may use; the compiler's own limit is lower, and it would spill.
    """

    forward_block: int = 32
    max_registers: int = 255


def launch_config() -> LaunchConfig:
    """Choose the launch: one warp a program, one channel a thread, whatever the shape.

    The choice follows from the machine code, nothing was measured on a GPU yet. The first stage of MedMamba-T gives 768
    such programs at batch size 64, 1.5 for each warp scheduler of an H100, so larger programs would leave schedulers
    idle. Nor would they save much: the forward kernel is limited by its exponentials, and in the backward kernel the
    states of two channels do not fit into a thread's registers.

    To compare others, replace this function: it is looked up at each call.
    """
    return LaunchConfig()


def forward(
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    save_states: bool,
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return y and the state before every chunk: see :class:`medmamba_monai.selective_scan.operator.Kernel`.

    Args:
        u: (B, L, C), as ``projected`` and ``delta`` of dtype float32, float16 or bfloat16.
        projected: (B, L, K, R + 2 * N), K at most 2 * len(spatial_shape): the first K directions are scanned.
        dt_weight: (K, C, R), as all below float32; R may be 0.
        dt_bias: (K, C).
        A: (K, C, N).
        D: (K, C).
        spatial_shape: size of each axis.
        save_states: whether the backward pass will want the states.
        delta: (B, L, K, C) to add to the raw step sizes.
        softplus: whether step sizes are the softplus of raw step sizes, or these themselves.

    Returns:
        y (B, L, C) and states, both float32; states is empty if it is not saved.

    Raises:
        ValueError: if ``projected`` has 2**31 numbers an image or more.
    """
    batch, length, channels = u.shape
    states = u.new_empty(states_shape(u, A) if save_states else [0], dtype=torch.float32)
    config = launch_config()
    walk = _walk(u, A, spatial_shape)
    y = u.new_empty(batch, A.shape[0], length, channels, dtype=torch.float32)
    inputs = _lay_out(u, projected, delta, dt_weight, dt_bias, A, D)
    programs = batch * A.shape[0] * -(-channels // config.forward_block)
    with torch.cuda.device_of(u):
        forward_kernel[(programs,)](
            *inputs,
            walk.order,
            y,
            states,
            walk.first,
            walk.chunks,
            walk.order.shape[1],
            length,
            channels,
            BLOCK=config.forward_block,
            SAVE=save_states,
            **_constants(inputs, A, delta, softplus, config),
        )
    return y.sum(1), states


def backward(
    grad_y: Tensor,
    states: Tensor,
    u: Tensor,
    projected: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    spatial_shape: Sequence[int],
    delta: Tensor | None = None,
    softplus: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Return the gradients of u, projected, dt_weight, dt_bias, A, D and delta (None if it is), each in its dtype.

    Args are those of :func:`forward`, ``states`` what it saved, and ``grad_y`` (B, L, C) float32.
    """
    batch, length, channels = u.shape
    (directions, _, size), rank = A.shape, dt_weight.shape[2]
    config = launch_config()
    blocks = -(-channels // LANES.value)
    walk = _walk(u, A, spatial_shape)
    inputs = _lay_out(u, projected, delta, dt_weight, dt_bias, A, D)
    padded_rank = inputs.dt_weight.shape[1]
    grad_u = states.new_empty(batch, directions, length, channels)
    grad_projected = states.new_empty(blocks, *inputs.projected.shape)
    grad_delta = None if delta is None else torch.empty_like(delta, memory_format=torch.contiguous_format)
    grad_dt_weight = states.new_zeros(batch, directions, padded_rank, channels)
    grad_dt_bias, grad_D = (states.new_empty(batch, directions, channels) for _ in range(2))
    grad_A, carry = (states.new_zeros(batch, directions, size, channels) for _ in range(2))
    with torch.cuda.device_of(u):
        backward_kernel[(batch * directions * blocks,)](
            grad_y.contiguous(),
            states,
            *inputs,
            walk.order,
            grad_u,
            grad_projected,
            grad_u if grad_delta is None else grad_delta,
            grad_dt_weight,
            grad_dt_bias,
            grad_A,
            grad_D,
            carry,
            walk.first,
            walk.chunks,
            walk.order.shape[1],
            batch,
            length,
            channels,
            **_constants(inputs, A, delta, softplus, config),
        )
    return (
        grad_u.sum(1).to(u.dtype),
        grad_projected[..., padded_rank - rank :].sum(0).to(projected.dtype),
        grad_dt_weight[:, :, padded_rank - rank :].sum(0).mT.contiguous(),
        grad_dt_bias.sum(0),
        grad_A.sum(0).mT.contiguous(),
        grad_D.sum(0),
        grad_delta,
    )


def states_shape(u: Tensor, A: Tensor) -> list[int]:
    """Return the shape (B, K, chunks, N, C) of the states that :func:`forward` saves."""
    (batch, length, channels), (directions, _, size) = u.shape, A.shape
    return [batch, directions, -(-length // CHUNK), size, channels]


class Inputs(NamedTuple):
    """Inputs as both kernels take them, contiguous; ``forward.forward_kernel`` gives the shapes."""

    u: Tensor
    projected: Tensor
    delta: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    rate: Tensor
    skip: Tensor


def _lay_out(
    u: Tensor, projected: Tensor, delta: Tensor | None, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, D: Tensor
) -> Inputs:
    """Bring the inputs into the layout of :class:`Inputs`.

    The rank is padded in front to a multiple of 4, so that a thread loads four numbers of a row at once, and rows are
    made float32, because a kernel would convert each number once for every channel.
    """
    padding = -dt_weight.shape[2] % 4
    *leading, columns = projected.shape
    check_offsets(leading[1], leading[2], padding + columns)
    if padding or projected.dtype != torch.float32:
        padded = projected.new_zeros(*leading, padding + columns, dtype=torch.float32)
        padded[..., padding:] = projected
        projected = padded
    u = u.contiguous()
    return Inputs(
        u,
        projected.contiguous(),
        u if delta is None else delta.contiguous(),
        F.pad(dt_weight, [padding, 0]).mT.contiguous(),
        dt_bias.contiguous(),
        (A * LOG2_E).mT.contiguous(),
        D.contiguous(),
    )


def check_offsets(length: int, directions: int, columns: int) -> None:
    """Raise a ValueError if the rows of an image are too many to be found by 32-bit offsets."""
    if length * directions * columns >= 2**31:
        raise ValueError(
            f"an image of {length} tokens with {directions} directions and {columns} columns of projected numbers "
            "has 2**31 numbers or more: the triton backend takes fewer"
        )


def _constants(inputs: Inputs, A: Tensor, delta: Tensor | None, softplus: bool, config: LaunchConfig) -> dict[str, Any]:
    """Return what the kernels are compiled for, and how."""
    return {
        "DIRECTIONS": A.shape[0],
        "RANK": inputs.dt_weight.shape[1],
        "STATE_SIZE": A.shape[2],
        "CHUNK": CHUNK,
        "HAS_DELTA": delta is not None,
        "SOFTPLUS": softplus,
        "PREFETCH": inputs.u.is_cuda and not triton.knobs.runtime.interpret,
        "num_warps": 1,
        "maxnreg": config.max_registers,
    }


class Walk(NamedTuple):
    """The tokens in the order of each direction, padded to whole chunks.

    Attributes:
        order: (K, first + L + more) int32 token numbers.
        first: steps that pad the first chunk.
        chunks: chunks of a direction.
    """

    order: Tensor
    first: int
    chunks: int


def _walk(u: Tensor, A: Tensor, spatial_shape: Sequence[int]) -> Walk:
    length, chunks = u.shape[1], -(-u.shape[1] // CHUNK)
    order = _padded_order(tuple(spatial_shape), A.shape[0], CHUNK, u.device)
    return Walk(order, chunks * CHUNK - length, chunks)


@lru_cache(maxsize=64)
def _padded_order(spatial_shape: tuple[int, ...], directions: int, chunk: int, device: torch.device) -> Tensor:
    """Return the token orders, padded in front to whole chunks and behind as far as the kernels look ahead."""
    order = scan_orders(list(spatial_shape), torch.device("cpu"))[:directions]
    length = order.shape[1]
    front = -length % chunk
    behind = max(chunk, 3)
    behind += -(front + length + behind) % 16
    columns = torch.arange(-front, length + behind).clamp(0, length - 1)
    return order[:, columns].int().contiguous().to(device)
