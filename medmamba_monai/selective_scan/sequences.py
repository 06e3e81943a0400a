"""The selective scan over sequences, with the signature it has in Mamba."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from medmamba_monai.selective_scan.backends import BACKENDS, choose_backend
from medmamba_monai.selective_scan.inputs import ScanInputs, choose_dtype
from medmamba_monai.selective_scan.operator import scan


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    backend: str = "auto",
) -> Tensor:
    """Run the selective state space model over sequences (Algorithm 1; Mamba, Algorithm 2).

    A network that scans images is served faster by
    :func:`~medmamba_monai.selective_scan.directional_scan`, which never builds the sequences.

    Args:
        u: (B, C, L) input, C channels.
        delta: (B, C, L) step sizes.
        A: (C, N) decay rates, negative.
        B: (B, N, L), or (B, G, N, L) where each of G groups serves C / G neighboring channels.
        C: as ``B``.
        D: (C,), no skip connection if None.
        delta_bias: (C,), added to ``delta`` before the softplus.
        delta_softplus: whether ``delta`` still has to go through softplus.
        backend: ``auto`` or one of :data:`~medmamba_monai.selective_scan.backends.BACKENDS`.

    Returns:
        y (B, C, L), float32; float64 if all inputs are.

    Raises:
        ValueError: if shapes or dtypes do not fit together.
        UserError: if the backend is unknown, not installed or unfit for the device or dtype.
    """
    optional = {name: tensor for name, tensor in (("D", D), ("delta_bias", delta_bias)) if tensor is not None}
    inputs = {"u": u, "delta": delta, "A": A, "B": B, "C": C} | optional
    _check_shapes(inputs)
    dtype = choose_dtype(list(inputs.values()))
    backend = choose_backend(backend, u.device, dtype)
    sequence_scan = BACKENDS[backend].get_sequence_scan()
    if sequence_scan is None:
        outputs = [scan(group, backend, dtype) for group in _groups_as_maps(inputs, delta_softplus)]
        return torch.cat(outputs, dim=-1).mT
    converted = {name: tensor.to(dtype) for name, tensor in inputs.items()}
    return sequence_scan(**converted, delta_softplus=delta_softplus)


def _groups_as_maps(sequences: dict[str, Tensor], softplus: bool) -> Iterator[ScanInputs]:
    """Make a map of each group of channels: one axis, one direction, step sizes of its own."""
    u, delta, A, B, C = (sequences[name] for name in ("u", "delta", "A", "B", "C"))
    D, delta_bias = (sequences.get(name, u.new_zeros(len(A))) for name in ("D", "delta_bias"))
    groups = B.shape[1] if B.ndim == 4 else 1
    matrices = torch.cat([B, C], dim=-2)
    matrices = matrices if matrices.ndim == 4 else matrices[:, None]
    by_group = [
        u.mT.chunk(groups, dim=-1),
        matrices.mT.unbind(1),
        delta_bias[None].chunk(groups, dim=-1),
        A[None].chunk(groups, dim=1),
        D[None].chunk(groups, dim=-1),
        delta.mT.chunk(groups, dim=-1),
    ]
    for u_g, matrices_g, bias_g, A_g, D_g, delta_g in zip(*by_group, strict=True):
        no_rank = A_g.new_empty(1, A_g.shape[1], 0)
        tensors = (u_g, matrices_g[:, :, None], no_rank, bias_g, A_g, D_g)
        yield ScanInputs(*tensors, [u.shape[2]], delta_g[:, :, None], softplus)


def _check_shapes(inputs: dict[str, Tensor]) -> None:
    """Raise a ValueError that names the first input whose shape does not fit u, A or B."""
    u, A, B = inputs["u"], inputs["A"], inputs["B"]
    if u.ndim != 3 or A.ndim != 2 or 0 in (*u.shape[1:], *A.shape):
        raise ValueError(
            "u must be (B, C, L) and A (C, N) with at least one channel, token and state, "
            f"got {tuple(u.shape)} and {tuple(A.shape)}"
        )
    (batch, channels, length), state_size = u.shape, A.shape[1]
    groups = B.shape[1] if B.ndim == 4 else 1
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels cannot be divided among the {groups} groups of B")
    matrix = (batch, groups, state_size, length) if B.ndim == 4 else (batch, state_size, length)
    expected = {"delta": u.shape, "A": (channels, state_size), "B": matrix, "C": matrix}
    expected |= {"D": (channels,), "delta_bias": (channels,)}
    for name, tensor in inputs.items():
        if name != "u" and tuple(tensor.shape) != tuple(expected[name]):
            raise ValueError(f"{name} must have shape {tuple(expected[name])}, got {tuple(tensor.shape)}")
        if tensor.device != u.device:
            raise ValueError(f"{name} is on {tensor.device}, u is on {u.device}: all inputs must share a device")
