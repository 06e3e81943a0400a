"""The selective scan as it is written down: one token after the other, and the truth for every other backend.

It follows Algorithm 1 of MedMamba (arXiv 2403.03849), which is the selective state space model of Mamba's Algorithm 2
(arXiv 2312.00752) run along each direction of an image.

======================  ==================  =====================================================================
letter                  shape               meaning
======================  ==================  =====================================================================
``b``                                       image of the batch, batch size ``B`` in the shapes
``l``                                       step along the sequence, ``L`` tokens in all
``c``                                       channel of the scan, ``C`` in all (``d_inner`` in Mamba)
``n``                                       component of the hidden state, ``N`` in all (``d_state``)
``r``                                       component of the low-rank step size, ``R`` in all (``dt_rank``)
``k``                                       direction, ``K`` = 2 * number of spatial axes
``u``                   (B, C, L)           input sequence
``delta``               (B, C, L)           step size, positive: softplus(dt projection + bias)
``A``                   (C, N)              decay rate of each state component, negative
``B``, ``C`` (matrix)   (B, N, L)           how a token is written into the state, how the state is read
``D``                   (C,)                weight of the skip connection
``h``                   (B, C, N)           hidden state
``y``                   (B, C, L)           output sequence
======================  ==================  =====================================================================

With h_0 = 0 the recurrence and the output are, for each image and each channel,

    h_l = exp(delta_l * A) * h_(l-1) + delta_l * u_l * B_l        (discretized state equation)
    y_l = sum over n of C_l * h_l + D * u_l                       (output equation)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from medmamba_monai.selective_scan.backend import Backend
from medmamba_monai.selective_scan.directions import scan_orders, scan_positions
from medmamba_monai.selective_scan.inputs import ScanInputs


def reference_selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the recurrence at the top of this file, token by token, in the dtype of its inputs.

    Args:
        u: (B, C, L).
        delta: (B, C, L).
        A: (C, N).
        B: (B, N, L), or (B, G, N, L) where each of G groups serves C / G neighboring channels.
        C: as ``B``.
        D: (C,), no skip connection if None.
        delta_bias: (C,), added to ``delta`` before the softplus.
        delta_softplus: whether ``delta`` still has to go through softplus.

    Returns:
        y (B, C, L).
    """
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    B, C = (_one_row_per_channel(matrix, channels=u.shape[1]) for matrix in (B, C))
    h = u.new_zeros(u.shape[0], *A.shape)
    outputs = []
    for u_l, delta_l, B_l, C_l in zip(u.unbind(-1), delta.unbind(-1), B.unbind(-1), C.unbind(-1), strict=True):
        h = torch.exp(delta_l[..., None] * A) * h + (delta_l * u_l)[..., None] * B_l
        outputs.append((C_l * h).sum(-1))
    y = torch.stack(outputs, dim=-1)
    return y if D is None else y + D[:, None] * u


def reference_directional_scan(inputs: ScanInputs) -> Tensor:
    """Scan the tokens along each direction by itself and add the outputs up (2D selective scan, section 3.1).

    Args:
        inputs: all in one dtype.

    Returns:
        y (B, L, C) in that dtype.
    """
    u, projected, dt_weight, dt_bias, A, D, spatial_shape, added_delta, softplus = inputs
    y = torch.zeros_like(u)
    orders, positions = (number(list(spatial_shape), u.device) for number in (scan_orders, scan_positions))
    for k in range(inputs.directions):
        order, position = orders[k], positions[k]
        low_rank, B, C = projected[:, order, k].split([inputs.rank, inputs.state_size, inputs.state_size], dim=-1)
        delta = (low_rank[:, :, None] * dt_weight[k]).sum(-1)
        if added_delta is not None:
            delta = delta + added_delta[:, order, k]
        sequence = reference_selective_scan(
            u[:, order].mT, delta.mT, A[k], B.mT, C.mT, D[k], delta_bias=dt_bias[k], delta_softplus=softplus
        )
        y = y + sequence.mT[:, position]
    return y


def _one_row_per_channel(matrix: Tensor, channels: int) -> Tensor:
    """Bring a B or C matrix from (B, N, L) or (B, G, N, L) to a shape that broadcasts with (B, channels, N, L)."""
    if matrix.ndim == 3:
        return matrix[:, None]
    return matrix.repeat_interleave(channels // matrix.shape[1], dim=1)


class ReferenceBackend(Backend):
    """The functions above as a backend: slow, and the only one with second derivatives."""

    name = "reference"
    float64 = True
    differentiable = True

    def forward(self, inputs: ScanInputs, save_states: bool) -> tuple[Tensor, Tensor]:
        """Run :func:`reference_directional_scan`, which saves no states."""
        return reference_directional_scan(inputs), inputs.u.new_empty(0)

    def get_sequence_scan(self) -> Callable[..., Tensor]:
        """Return :func:`reference_selective_scan`."""
        return reference_selective_scan
