"""Launch of the Triton kernels: the layout of their arrays, and what they are compiled for.

Inputs may be float32, float16 or bfloat16; all arithmetic is float32. Kernels are compiled for each dtype of ``u`` and
each K, R and N, whatever the sizes of batch and image, and all at once when the first scan arrives (``compiling``).

With TRITON_INTERPRET=1 in the environment before this module is imported, the same functions run on CPU tensors.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from medmamba_monai.selective_scan.directions import scan_orders
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.triton.backward import LANES, backward_kernel
from medmamba_monai.selective_scan.triton.compiling import compile_before_first_use
from medmamba_monai.selective_scan.triton.finish import (
    CHANNELS,
    ELEMENTS,
    IMAGES,
    add_images_kernel,
    add_parts_kernel,
)
from medmamba_monai.selective_scan.triton.forward import forward_kernel
from medmamba_monai.selective_scan.triton.layout import ELEMENTS as ROOM
from medmamba_monai.selective_scan.triton.layout import lay_out_kernel

LOG2_E = 1 / math.log(2)
CHUNK = 16
"""Steps between saved states, a power of two up to 16: the sums over channels of two rows of it fill a warp."""


class LaunchConfig(NamedTuple):
    """How the kernels are launched: all that may be tuned, which ``python -m benchmarks.gpu --parts kernels`` does.

    Attributes:
        forward_block: channels of a program of the forward kernel, 32 or a power of two above. One of the backward
            kernel has 32, one for each thread of a warp.
        forward_ahead: tokens by which the forward kernel loads B and C ahead of their use, 1 or 2.
        max_registers: registers that a thread may use; the compiler's own limit is lower, and it would spill.
    """

    forward_block: int = 32
    forward_ahead: int = 1
    max_registers: int = 255


def launch_config() -> LaunchConfig:
    """Choose the launch: one warp a program, one channel a thread, whatever the shape.

    The first stage of MedMamba-T gives 768 such programs at batch size 64, 1.5 for each warp scheduler of an H100, so
    larger programs leave schedulers idle, and in the backward kernel the states of two channels do not fit into a
    thread's registers.

    What an H200 took speaks for larger ones all the same: a token of the forward kernel about 650 cycles in the first
    stage (6 warps a multiprocessor) and 1,080 in the second (12). Waiting for memory would take the same in both; some
    90 to 110 cycles a warp are rather those of the nine loads that give four numbers to every lane, which two channels
    a thread would share. ``forward_ahead=2`` has the same instructions and 206 registers instead of 168, so that the
    second stage's programs no longer fit at once. Neither was measured yet, so neither is chosen.

    To compare others, replace this function: it is looked up at each call.
    """
    return LaunchConfig()


def forward(inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
    """Return y and the state before every chunk, as :class:`~medmamba_monai.selective_scan.backend.Backend` says.

    Args:
        inputs: ``u``, ``projected`` and ``delta`` in float32, float16 or bfloat16, all others in float32.
        save_states: whether the backward pass will want the states.

    Returns:
        y (B, L, C) and states, both float32; states is empty if it is not saved.

    Raises:
        ValueError: if ``projected`` has 2**31 numbers an image or more.
    """
    u, directions = inputs.u, inputs.directions
    batch, length, channels = u.shape
    if u.is_cuda and not triton.knobs.runtime.interpret:
        compile_before_first_use(inputs, save_states, forward, backward)
    states = u.new_empty(states_shape(inputs) if save_states else [0], dtype=torch.float32)
    config = launch_config()
    walk = _plan_walk(inputs)
    y = u.new_empty(batch, directions, length, channels, dtype=torch.float32)
    arrays = _lay_out(inputs)
    programs = batch * directions * -(-channels // config.forward_block)
    start_kernel(
        forward_kernel,
        programs,
        (
            *arrays,
            walk.order,
            y,
            states,
            walk.first,
            walk.chunks,
            walk.order.shape[1],
            length,
            channels,
        ),
        {
            "BLOCK": config.forward_block,
            "AHEAD": config.forward_ahead,
            "SAVE": save_states,
            **_collect_constants(inputs, arrays, config),
        },
    )
    return add_parts(y, torch.float32), states


def backward(grad_y: Tensor, states: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
    """Return the gradient of each of ``inputs.tensors``, in its dtype.

    Args:
        grad_y: (B, L, C) float32.
        states: what :func:`forward` saved.
        inputs: as for :func:`forward`.
    """
    u, delta, directions, size = inputs.u, inputs.delta, inputs.directions, inputs.state_size
    batch, length, channels = u.shape
    config = launch_config()
    blocks = -(-channels // LANES.value)
    walk = _plan_walk(inputs)
    arrays = _lay_out(inputs)
    padded_rank = arrays.dt_weight.shape[1]
    padding = padded_rank - inputs.rank
    grad_u = states.new_empty(batch, directions, length, channels)
    grad_projected = states.new_empty(blocks, *arrays.projected.shape)
    grad_delta = None if delta is None else torch.empty_like(delta, memory_format=torch.contiguous_format)
    sums = states.new_zeros(batch, directions, padded_rank + 2 * size + 2, channels)
    start_kernel(
        backward_kernel,
        batch * directions * blocks,
        (
            grad_y.contiguous(),
            states,
            *arrays,
            walk.order,
            grad_u,
            grad_projected,
            grad_u if grad_delta is None else grad_delta,
            sums,
            walk.first,
            walk.chunks,
            walk.order.shape[1],
            batch,
            length,
            channels,
        ),
        _collect_constants(inputs, arrays, config),
    )
    gradients = (
        add_parts(grad_u, u.dtype),
        add_parts(grad_projected[None], inputs.projected.dtype, padding)[0],
        *add_images(sums, inputs, padding),
    )
    return gradients if grad_delta is None else (*gradients, grad_delta)


def add_parts(parts: Tensor, dtype: torch.dtype, padding: int = 0) -> Tensor:
    """Add up the second axis of a float32 tensor.

    Args:
        parts: (outer, parts, ...), contiguous.
        dtype: of the result.
        padding: numbers in front of the last axis that are left out.
    """
    outer, number, *shape = parts.shape
    shape[-1] -= padding
    total = parts.new_empty(outer, *shape, dtype=dtype)
    if total.numel():
        size, elements = math.prod(shape), ELEMENTS.value
        arguments = (parts, total, total.numel(), number, size, shape[-1])
        programs = -(-total.numel() // elements)
        start_kernel(add_parts_kernel, programs, arguments, {"PADDING": padding, "ELEMENTS": elements})
    return total


def add_images(sums: Tensor, inputs: ScanInputs, padding: int) -> tuple[Tensor, ...]:
    """Add up the gradients of ``dt_weight``, ``dt_bias``, A and D over the images, without padded ranks."""
    batch, directions, rows, channels = sums.shape
    size = inputs.state_size
    gradients = tuple(sums.new_empty(tensor.shape) for tensor in inputs[2:6])
    constants = {"DIRECTIONS": directions, "RANK": rows - 2 * size - 2, "PADDING": padding, "STATE_SIZE": size}
    constants |= {"IMAGES": IMAGES.value, "CHANNELS": CHANNELS.value}
    programs = directions * (inputs.rank + size + 2) * -(-channels // CHANNELS.value)
    start_kernel(add_images_kernel, programs, (sums, *gradients, batch, channels), constants)
    return gradients


def start_kernel(kernel: Any, programs: int, arguments: tuple[Any, ...], constants: dict[str, Any]) -> None:
    """Launch a kernel where its tensors are, or only compile it where they have no memory (device ``meta``)."""
    if arguments[0].is_meta:
        mocked = [value.dtype if isinstance(value, Tensor) else value for value in arguments]
        kernel.warmup(*mocked, grid=(1,), **constants)
        return
    with torch.cuda.device_of(arguments[0]):
        kernel[(programs,)](*arguments, **constants)


def states_shape(inputs: ScanInputs) -> list[int]:
    """Return the shape (B, K, chunks, N, C) of the states that :func:`forward` saves."""
    batch, length, channels = inputs.u.shape
    return [batch, inputs.directions, -(-length // CHUNK), inputs.state_size, channels]


class Arrays(NamedTuple):
    """Inputs as both kernels take them, contiguous; ``forward.forward_kernel`` gives the shapes."""

    u: Tensor
    projected: Tensor
    delta: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    rate: Tensor
    skip: Tensor


def _lay_out(inputs: ScanInputs) -> Arrays:
    """Bring the inputs into the layout of :class:`Arrays`.

    The rank is padded in front to a multiple of 4, so that a thread loads four numbers of a row at once, and rows are
    made float32, because a kernel would convert each number once for every channel.
    """
    u, projected, dt_weight, dt_bias, A, D, _, delta, _ = inputs
    padding = -inputs.rank % 4
    *leading, columns = projected.shape
    check_offsets(leading[1], leading[2], padding + columns)
    directions, channels, rank = dt_weight.shape
    u, projected = u.contiguous(), projected.contiguous()
    padded = projected
    if padding or projected.dtype != torch.float32:
        padded = projected.new_empty(*leading, padding + columns, dtype=torch.float32)
    copies = 0 if padded is projected else _count_programs(padded.numel())
    steps, rate = (A.new_empty(directions, rows, channels) for rows in (padding + rank, A.shape[2]))
    parameters = steps.numel() + rate.numel()
    start_kernel(
        lay_out_kernel,
        copies + _count_programs(parameters),
        (
            *(projected, dt_weight.contiguous(), A.contiguous(), padded, steps, rate),
            *(padded.numel(), copies, parameters, channels, LOG2_E),
        ),
        {"RANK": rank, "PADDING": padding, "STATE_SIZE": A.shape[2], "ELEMENTS": ROOM.value},
    )
    step_sizes = u if delta is None else delta.contiguous()
    return Arrays(u, padded, step_sizes, steps, dt_bias.contiguous(), rate, D.contiguous())


def _count_programs(numbers: int) -> int:
    return -(-numbers // ROOM.value)


def check_offsets(length: int, directions: int, columns: int) -> None:
    """Raise a ValueError if the rows of an image are too many to be found by 32-bit offsets."""
    if length * directions * columns >= 2**31:
        raise ValueError(
            f"an image of {length} tokens with {directions} directions and {columns} columns of projected numbers "
            "has 2**31 numbers or more: the triton backend takes fewer"
        )


def _collect_constants(inputs: ScanInputs, arrays: Arrays, config: LaunchConfig) -> dict[str, Any]:
    """Return what the kernels are compiled for, and how."""
    return {
        "DIRECTIONS": inputs.directions,
        "RANK": arrays.dt_weight.shape[1],
        "STATE_SIZE": inputs.state_size,
        "CHUNK": CHUNK,
        "HAS_DELTA": inputs.delta is not None,
        "SOFTPLUS": inputs.softplus,
        "PREFETCH": not inputs.u.is_cpu and not triton.knobs.runtime.interpret,
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


def _plan_walk(inputs: ScanInputs) -> Walk:
    length = inputs.u.shape[1]
    chunks = -(-length // CHUNK)
    order = _pad_order(tuple(inputs.spatial_shape), inputs.directions, CHUNK, inputs.u.device)
    return Walk(order, chunks * CHUNK - length, chunks)


@lru_cache(maxsize=64)
def _pad_order(spatial_shape: tuple[int, ...], directions: int, chunk: int, device: torch.device) -> Tensor:
    """Return the token orders, padded in front to whole chunks and behind as far as the kernels look ahead."""
    order = scan_orders(list(spatial_shape), torch.device("cpu"))[:directions]
    length = order.shape[1]
    front = -length % chunk
    behind = max(chunk, 3)
    behind += -(front + length + behind) % 16
    columns = torch.arange(-front, length + behind).clamp(0, length - 1)
    return order[:, columns].int().contiguous().to(device)
