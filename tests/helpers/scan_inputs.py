"""Inputs for the scan, and how far two results are apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NAMES = ("u", "projected", "dt_weight", "dt_bias", "A", "D")


def make_inputs(
    spatial_shape: tuple[int, ...] = (3, 4),
    batch: int = 2,
    channels: int = 5,
    state_size: int = 3,
    rank: int = 2,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> list[Tensor]:
    """Draw (u, projected, dt_weight, dt_bias, A, D), each a leaf that requires a gradient."""
    generator = torch.Generator().manual_seed(seed)
    length, directions = math.prod(spatial_shape), 2 * len(spatial_shape)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    tensors = [
        normal(batch, length, channels),
        normal(batch, length, directions, rank + 2 * state_size),
        normal(directions, channels, rank) / rank**0.5,
        normal(directions, channels) - 2,
        -torch.exp(normal(directions, channels, state_size)),
        normal(directions, channels),
    ]
    return [tensor.to(dtype).requires_grad_() for tensor in tensors]


def in_float64(inputs: list[Tensor]) -> list[Tensor]:
    """Copy the inputs to float64 leaves."""
    return [tensor.detach().double().requires_grad_() for tensor in inputs]


def gradients(y: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Differentiate a fixed random projection of y."""
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.autograd.grad((y * weight.to(y.dtype)).sum(), inputs)


def relative_error(value: Tensor, truth: Tensor) -> float:
    """Return the norm of the difference over the norm of the truth (or the difference itself where the truth is 0)."""
    value, truth = value.detach().double(), truth.detach().double()
    difference, size = (value - truth).norm(), truth.norm()
    return float(difference / size if size > 0 else difference)
