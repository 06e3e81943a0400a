"""The scan in plain ATen operations, for export and wherever no fused kernel runs.

The L tokens are cut into about sqrt(L) chunks of about sqrt(L) tokens, and all chunks advance together, one token at a
time: about 3 * sqrt(L) steps of the interpreter instead of L. A first pass starts every chunk from a zero state; what
a chunk hands to the next follows from its last state and its total decay; a second pass starts from the right
states and reads the outputs. Only decays over zero or more tokens are ever exponentiated, never their inverse, so
nothing can overflow that does not overflow in the recurrence itself.

The functions can be scripted by TorchScript and differentiated, twice if need be. As a backend of the operator their
gradient is recomputed from the inputs in the backward pass, as the states of every token would fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.directions import scan_orders, scan_positions
from medmamba_monai.selective_scan.inputs import ScanInputs


def chunked_directional_scan(inputs: ScanInputs) -> Tensor:
    """Compute :func:`medmamba_monai.selective_scan.directional_scan` without any custom operator.

    A network that calls this function can be scripted or exported into a file that loads without this package.

    Args:
        inputs: not checked; those of a dtype other than float64 are computed in float32.

    Returns:
        y (B, L, C).
    """
    dtype = torch.float64 if inputs.u.dtype == torch.float64 else torch.float32
    tensors = [inputs.u, inputs.projected, inputs.dt_weight, inputs.dt_bias, inputs.A, inputs.D]
    u, projected, dt_weight, dt_bias, A, D = [t.to(dtype) for t in tensors]
    rank, state_size = dt_weight.shape[2], A.shape[2]
    orders = scan_orders(inputs.spatial_shape, u.device)[: A.shape[0]]
    sequences = torch.stack([projected[:, order, k] for k, order in enumerate(orders.unbind())], dim=1)
    low_rank, B, C = sequences.split([rank, state_size, state_size], dim=3)
    raw = _add_product(dt_bias.unsqueeze(1), low_rank, dt_weight)
    added_delta = inputs.delta
    if added_delta is not None:
        steps = added_delta.to(dtype)
        raw = raw + torch.stack([steps[:, order, k] for k, order in enumerate(orders.unbind())], dim=1)
    y = chunked_scan(u[:, orders], F.softplus(raw) if inputs.softplus else raw, A, B, C)
    positions = scan_positions(inputs.spatial_shape, u.device)[: A.shape[0]]
    total = D.sum(0) * u
    for k, position in enumerate(positions.unbind()):
        total = total + y[:, k, position]
    return total


def _add_product(total: Tensor, low_rank: Tensor, dt_weight: Tensor) -> Tensor:
    """Compute total + low_rank @ dt_weight.mT from products that autocast leaves in float32."""
    for r in range(dt_weight.shape[2]):
        total = total + low_rank[..., r : r + 1] * dt_weight[:, :, r].unsqueeze(1)
    return total


def chunked_selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Compute :func:`medmamba_monai.selective_scan.reference.reference_selective_scan` in chunks.

    Args and result are those of the reference.
    """
    if B.ndim == 3:
        B, C = B.unsqueeze(1), C.unsqueeze(1)
    groups = B.shape[1]
    if delta_bias is not None:
        delta = delta + delta_bias.unsqueeze(1)
    if delta_softplus:
        delta = F.softplus(delta)
    by_group = [t.unflatten(1, [groups, -1]).transpose(2, 3) for t in [u, delta]]
    y = chunked_scan(by_group[0], by_group[1], A.unflatten(0, [groups, -1]), B.transpose(2, 3), C.transpose(2, 3))
    y = y.transpose(2, 3).flatten(1, 2)
    return y if D is None else y + D.unsqueeze(1) * u


def chunked_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Run the recurrence over sequences whose channels are in the last axis.

    Args:
        u: (B, G, L, C) inputs of G groups of C channels.
        delta: (B, G, L, C) step sizes, not negative.
        A: (G, C, N) decay rates.
        B: (B, G, L, N).
        C: (B, G, L, N).

    Returns:
        y (B, G, L, C) without the skip connection.
    """
    length = u.shape[2]
    steps = int(length**0.5)
    chunks = (length + steps - 1) // steps
    padding = [0, 0, 0, chunks * steps - length]
    tokens = [F.pad(t, padding).unflatten(2, [chunks, steps]) for t in [delta, delta * u, B, C]]
    delta_t, input_t, B_t, C_t = [t.unbind(3) for t in tokens]

    rate = A.unsqueeze(1)
    state = torch.zeros_like(delta_t[0].unsqueeze(-1) * rate)
    for t in range(steps):
        state = _advance(state, rate, delta_t[t], input_t[t], B_t[t])
    state = _states_at_start(state, torch.exp(tokens[0].sum(3).unsqueeze(-1) * rate))
    outputs: list[Tensor] = []
    for t in range(steps):
        state = _advance(state, rate, delta_t[t], input_t[t], B_t[t])
        outputs.append((state * C_t[t].unsqueeze(-2)).sum(-1))
    return torch.stack(outputs, dim=3).flatten(2, 3)[:, :, :length]


def _advance(state: Tensor, rate: Tensor, delta: Tensor, weighted_input: Tensor, B: Tensor) -> Tensor:
    """Take one step of the recurrence, (..., C, N) states, (..., C) steps and inputs, (..., N) rows of B."""
    return torch.exp(delta.unsqueeze(-1) * rate) * state + weighted_input.unsqueeze(-1) * B.unsqueeze(-2)


def _states_at_start(ends: Tensor, decays: Tensor) -> Tensor:
    """Turn the end states of chunks that began at zero into the true states at the start of each chunk (axis 2)."""
    carried, decay = ends.unbind(2), decays.unbind(2)
    state = torch.zeros_like(carried[0])
    starts: list[Tensor] = []
    for chunk in range(len(carried)):
        starts.append(state)
        state = decay[chunk] * state + carried[chunk]
    return torch.stack(starts, dim=2)


class TorchBackend(Backend):
    """The functions above as a backend: on every device, and what ``auto`` takes where nothing faster runs.

    It saves no states. Its gradient runs the scan again, as the states of every token would fill the memory.
    """

    name, speed = "torch", 1
    float64 = True

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Run :func:`chunked_directional_scan`."""
        return chunked_directional_scan(inputs), inputs.u.new_empty(0)

    def get_sequence_scan(self) -> Callable[..., Tensor]:
        """Return :func:`chunked_selective_scan`."""
        return chunked_selective_scan
