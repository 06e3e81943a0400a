"""The scan one direction at a time: what each of them writes, for inputs of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import choose_backend
from medmamba_monai.selective_scan.directions import scan_orders, scan_positions
from medmamba_monai.selective_scan.inputs import ScanInputs, choose_dtype
from medmamba_monai.selective_scan.operator import scan


def scan_direction(inputs: ScanInputs, k: int, backend: str) -> Tensor:
    """Scan a map in direction ``k`` alone, as a sequence of one direction.

    Args:
        inputs: of a map, with all K directions.
        k: number of a direction, in the order of :func:`~medmamba_monai.selective_scan.directions.scan_orders`.
        backend: ``auto`` or a backend.

    Returns:
        What the direction adds to the scan's output, (B, L, C), differentiable.
    """
    shape, device = list(inputs.spatial_shape), inputs.u.device
    order, position = scan_orders(shape, device)[k], scan_positions(shape, device)[k]
    dt_weight, dt_bias, A, D = (tensor[k : k + 1] for tensor in inputs[2:6])
    projected = inputs.projected[:, order, k : k + 1]
    sequence = ScanInputs(inputs.u[:, order], projected, dt_weight, dt_bias, A, D, [len(order)])
    dtype = choose_dtype(sequence.tensors)
    return scan(sequence, choose_backend(backend, device, dtype), dtype)[:, position]


def scan_apart(inputs: ScanInputs, apart: Tensor, backend: str) -> Tensor:
    """Scan each direction with input tokens of its own and add the outputs up.

    Args:
        inputs: of a map; its ``u`` is not used.
        apart: (K, B, L, C) tokens for each direction.
        backend: ``auto`` or a backend.

    Returns:
        (B, L, C), differentiable.
    """
    outputs = [scan_direction(inputs._replace(u=u), k, backend) for k, u in enumerate(apart)]
    return torch.stack(outputs).sum(0)
