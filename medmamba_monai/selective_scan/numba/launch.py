"""Launch of the Numba kernels: the layout of their arrays, and the threads that run them.

The C channels are cut into blocks of LANES, the last one padded with zeros, and the N states to a multiple of TILE.
Zeros stay zeros in every output and add nothing to any gradient.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.selective_scan.directions import scan_orders
from medmamba_monai.selective_scan.inputs import ScanInputs
from medmamba_monai.selective_scan.numba.backward import Gradient, backward_kernel
from medmamba_monai.selective_scan.numba.forward import CHUNK, TILE, Scan, forward_kernel
from medmamba_monai.selective_scan.numba.vector import LANES

config: Any = numba.config

LOG2_E = 1 / math.log(2)


def forward(inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
    """Return y and the state before every chunk, as :class:`~medmamba_monai.selective_scan.backend.Backend` says."""
    u, A = inputs.u, inputs.A
    states = A.new_empty(states_shape(inputs) if save_states else [0] * 6)
    with kernel_threads():
        scan = _lay_out(inputs)
        y = _read_half(u).new_empty(scan.u.shape)
        forward_kernel(*scan, _view(y), states.numpy())
    return _unblock(y, u.shape[2]).to(u.dtype), states if save_states else A.new_empty(0)


def backward(grad_y: Tensor, states: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
    """Return the gradient of each of ``inputs.tensors``, from them and the states that :func:`forward` saved."""
    A, rank, size = inputs.A, inputs.rank, inputs.state_size
    batch, _, channels = inputs.u.shape
    with kernel_threads():
        scan = _lay_out(inputs)
        grad = Gradient(
            u=A.new_empty(scan.u.shape),
            projected=A.new_empty(_count_groups(batch, scan.u.shape[2]), *scan.projected.shape),
            delta=A.new_empty(scan.delta.shape),
            parameters=A.new_zeros(batch, *scan.parameters.shape),
        )
        parts = (part.numpy() for part in grad)
        backward_kernel(*scan, _lay_out_dt_weight(inputs.dt_weight), states.numpy(), _view(_block(grad_y)), *parts)
    grad_projected = grad.projected.sum(0) if len(grad.projected) > 1 else grad.projected[0]
    parameters = _unblock(grad.parameters.sum(0).transpose(1, 2), channels)
    grad_bias, grad_skip, rates, weights = parameters.split([1, 1, _pad_size(size), rank], dim=1)
    gradients = (
        _unblock(grad.u, channels).to(inputs.u.dtype),
        _unpad_states(grad_projected, rank, size).to(inputs.projected.dtype),
        _copy(weights.mT),
        _copy(grad_bias[:, 0]),
        _copy(rates[:, :size].mT),
        _copy(grad_skip[:, 0]),
    )
    if inputs.delta is None:
        return gradients
    return *gradients, _unblock(grad.delta, channels).to(inputs.delta.dtype)


def states_shape(inputs: ScanInputs) -> list[int]:
    """Return the shape (B, K, chunks, blocks, N, V) of the states that :func:`forward` saves."""
    batch, length, channels = inputs.u.shape
    chunks, blocks = -(-length // CHUNK), -(-channels // LANES)
    return [batch, inputs.directions, chunks, blocks, _pad_size(inputs.state_size), LANES]


def _lay_out(inputs: ScanInputs) -> Scan:
    """Bring the inputs into the layout of :class:`Scan`."""
    u, projected, dt_weight, dt_bias, A, D, spatial_shape, delta, softplus = inputs
    size = inputs.state_size
    rates = F.pad(A, [0, -size % TILE]) * LOG2_E
    parameters = torch.cat([dt_bias[:, None], D[:, None], rates.mT, dt_weight.mT], dim=1)
    return Scan(
        order=_make_order(tuple(spatial_shape))[: len(dt_bias)],
        softplus=softplus,
        u=_view(_block(u)),
        projected=_pad_states(projected.float(), inputs.rank, size).numpy(),
        delta=A.new_empty([0] * 5).numpy() if delta is None else _view(_block(delta)),
        parameters=_block(parameters).transpose(1, 2).contiguous().numpy(),
    )


def _pad_size(size: int) -> int:
    """Return the number of states that the kernels treat, a multiple of TILE."""
    return size + -size % TILE


def _pad_states(projected: Tensor, rank: int, size: int) -> Tensor:
    """Fill B and C of (..., R + 2 * N) up with states that stay zero, to a multiple of TILE; contiguous."""
    padding = -size % TILE
    if not padding:
        return projected.contiguous()
    low_rank, B, C = projected.split([rank, size, size], dim=-1)
    return torch.cat([low_rank, F.pad(B, [0, padding]), F.pad(C, [0, padding])], dim=-1)


def _unpad_states(projected: Tensor, rank: int, size: int) -> Tensor:
    """Undo :func:`_pad_states`."""
    padded = _pad_size(size)
    if padded == size:
        return projected
    low_rank, B, C = projected.split([rank, padded, padded], dim=-1)
    return torch.cat([low_rank, B[..., :size], C[..., :size]], dim=-1)


def _lay_out_dt_weight(dt_weight: Tensor) -> np.ndarray:
    """Return ``dt_weight`` as (K, blocks, V, rank blocks, V): the rank along the lanes, all filled up with zeros."""
    _, channels, rank = dt_weight.shape
    padded = F.pad(dt_weight, [0, -rank % LANES, 0, -channels % LANES])
    return padded.unflatten(2, [-(-rank // LANES), LANES]).unflatten(1, [-1, LANES]).contiguous().numpy()


@lru_cache(maxsize=64)
def _make_order(spatial_shape: tuple[int, ...]) -> np.ndarray:
    return scan_orders(list(spatial_shape), torch.device("cpu")).int().numpy().view(np.uint32)


def _block(tensor: Tensor) -> Tensor:
    """Cut the last axis, channels, into (blocks, V), padded with zeros, contiguous, in a dtype of the kernels."""
    tensor, padding = _read_half(tensor), -tensor.shape[-1] % LANES
    padded = F.pad(tensor, [0, padding]) if padding else tensor
    return padded.contiguous().unflatten(-1, [-1, LANES])


def _read_half(tensor: Tensor) -> Tensor:
    """Return a tensor in a dtype of the kernels: bfloat16 as it is, float16 in float32."""
    return tensor if tensor.dtype == torch.bfloat16 else tensor.float()


def _view(tensor: Tensor) -> np.ndarray:
    """Return the numbers of a tensor, bfloat16 as uint16."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _unblock(tensor: Tensor, channels: int) -> Tensor:
    """Join the last two axes (blocks, V) to channels again and drop the padding."""
    return tensor.flatten(-2)[..., :channels].contiguous()


def _copy(view: Tensor) -> Tensor:
    """Copy a view: results of an operator must not share memory."""
    return view.clone(memory_format=torch.contiguous_format)


def _count_groups(batch: int, blocks: int) -> int:
    """Return into how many groups of blocks an image is cut so that every thread has about two tasks, or one each."""
    threads = _count_threads()
    if batch % threads == 0:
        return 1
    return min(blocks, -(-2 * threads // max(batch, 1)))


def _count_threads() -> int:
    return min(torch.get_num_threads(), config.NUMBA_NUM_THREADS)


_launching = threading.Lock()
_process = os.getpid()


@contextmanager
def kernel_threads() -> Iterator[None]:
    """Let Numba use as many threads as torch, and only one caller at a time where its thread pool takes no more.

    When Numba starts an OpenMP pool it sets the number of threads of the whole process, torch's too: from then on
    torch would round sums differently, and a resumed training would not repeat an uninterrupted one.

    Raises:
        UserError: in a process that was forked after the thread pool had been started, which would hang.
    """
    _refuse_forked_pool()
    with ExitStack() as stack:
        if _find_thread_pool() in (None, "workqueue"):
            stack.enter_context(_launching)
        of_torch = torch.get_num_threads()
        before = numba.get_num_threads()  # starts the pool
        torch.set_num_threads(of_torch)
        stack.callback(numba.set_num_threads, before)
        numba.set_num_threads(_count_threads())
        yield


def _refuse_forked_pool() -> None:
    global _process
    if os.getpid() == _process:
        return
    if _find_thread_pool() is not None:
        raise UserError(
            "the numba scan cannot run in a process that was forked after its parent had used it: start workers with "
            "multiprocessing_context='spawn', keep the network out of data loading, or use scan backend 'torch' there"
        )
    _process = os.getpid()


def _find_thread_pool() -> str | None:
    """Return the name of Numba's thread pool, None if it has not been started."""
    try:
        return numba.threading_layer()
    except ValueError:
        return None
