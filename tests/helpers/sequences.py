"""Random inputs of a scan over sequences."""

from __future__ import annotations

import torch


def make_sequences(groups: int | None = None) -> list[torch.Tensor]:
    """Draw u, delta (2, 4, 5), A (4, 3), B and C (2, [groups,] 3, 5), D and delta_bias (4,) in float64."""
    generator = torch.Generator().manual_seed(0)
    matrix = (2, 3, 5) if groups is None else (2, groups, 3, 5)
    shapes = [(2, 4, 5), (2, 4, 5), (4, 3), matrix, matrix, (4,), (4,)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[2] = -tensors[2].exp()
    return tensors
