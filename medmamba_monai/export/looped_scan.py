"""The scan as one loop over chunks of tokens with few large operations inside, for runtimes without a kernel of ours.

A file of a network holds one loop a block, ONNX's ``Scan``, in place of thousands of nodes for its tokens. Each turn
computes the decays and the inputs of a chunk of tokens of all directions at once, advances the state with one
multiplication and one addition a token, and reads all outputs of the chunk by one matrix product. Decays are only ever
exponentials of negative numbers, and nothing is divided.

Channels are in the last axis, where runtimes broadcast fastest: states are (1, B, K, N, C). The letters are those of
:mod:`~medmamba_monai.selective_scan.reference`.

The loop is PyTorch's operator itself: its function of the same name compiles every body first, seconds for each block.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medmamba_monai.selective_scan import ScanInputs
from medmamba_monai.selective_scan.directions import scan_orders, scan_positions

TOKENS = 16
"""Tokens of a turn: their states fit a core's cache, and what a turn costs by itself is spread over them."""


def looped_directional_scan(inputs: ScanInputs, tokens: int = TOKENS) -> Tensor:
    """Compute :func:`medmamba_monai.selective_scan.directional_scan` by one loop, in float32.

    Args:
        inputs: not checked, without a ``delta``.
        tokens: of a turn of the loop.

    Returns:
        y (B, L, C), float32.
    """
    u, projected, dt_weight, dt_bias, A, D = (tensor.float() for tensor in inputs[:6])
    shape, (batch, length, channels) = inputs.spatial_shape, u.shape
    orders, positions = scan_orders(shape, u.device), scan_positions(shape, u.device)
    by_token = projected.permute(2, 1, 0, 3)
    visited = torch.stack([by_token[k].index_select(0, orders[k]) for k in range(len(orders))])  # (K, L, B, R + 2 N)
    low_rank, B, C = visited.split([inputs.rank, inputs.state_size, inputs.state_size], dim=3)
    delta = functional.softplus(low_rank @ dt_weight.mT.unsqueeze(1) + dt_bias[:, None, None])
    sequence = u.transpose(0, 1)
    along = torch.stack([sequence.index_select(0, orders[k]) for k in range(len(orders))])  # (K, L, B, C)
    taken = min(tokens, length)
    chunks = [_cut(tensor, taken) for tensor in (delta, delta * along, B, C)]
    state = u.new_zeros(1, batch, inputs.directions, inputs.state_size, channels)
    y = torch.ops.higher_order.scan(_take_turn, [state], chunks, (A.mT.contiguous(),))[1].flatten(0, 1)
    total = D.sum(0) * u
    for k in range(len(positions)):
        total = total + y[:, :, k].index_select(0, positions[k]).transpose(0, 1)
    return total


def _cut(sequences: Tensor, tokens: int) -> Tensor:
    """Cut (K, L, B, X) into chunks (L / tokens, tokens, B, K, X); what is filled up has steps of size zero."""
    moved = sequences.permute(1, 2, 0, 3)
    missing = -moved.shape[0] % tokens
    if missing:
        moved = functional.pad(moved, [0, 0, 0, 0, 0, 0, 0, missing])
    return moved.unflatten(0, [-1, tokens])


def _take_turn(
    state: Tensor, delta: Tensor, weighted_input: Tensor, B: Tensor, C: Tensor, A: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the state after a chunk of tokens, and the outputs (tokens, B, K, C) of these."""
    decays = torch.exp(delta.unsqueeze(3) * A).split(1)
    entering = (weighted_input.unsqueeze(3) * B.unsqueeze(4)).split(1)
    states = []
    for decay, entry in zip(decays, entering, strict=True):
        state = decay * state + entry
        states.append(state)
    return state.clone(), (C.unsqueeze(3) @ torch.cat(states)).squeeze(3)
