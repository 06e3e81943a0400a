"""The inputs of a scan over a map: their shapes, said once and checked once."""

# No `from __future__ import annotations`: TorchScript reads the types of the fields.

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


class ScanInputs(NamedTuple):
    """What a scan takes; the letters are those of :mod:`~medmamba_monai.selective_scan.reference`.

    The first K directions of the map are scanned (:func:`~medmamba_monai.selective_scan.directions.scan_orders`), with
    the step sizes ``softplus(projected_dt @ dt_weight.T + dt_bias)``. A sequence with step sizes of its own is a map of
    one axis and one direction that brings ``delta``, and then the rank R may be 0.

    A plain tuple of tensors, so that it goes through TorchScript, ``torch.export`` and ``torch.func``.

    Attributes:
        u: (B, L, C) tokens in row-major order, L = prod(spatial_shape).
        projected: (B, L, K, R + 2 * N), for each token and direction the low-rank step size, then B, then C.
        dt_weight: (K, C, R) from low rank to a step size a channel.
        dt_bias: (K, C).
        A: (K, C, N) decay rates, negative.
        D: (K, C) skip connections.
        spatial_shape: size of each axis, for example [height, width].
        delta: (B, L, K, C), added to the step sizes before the softplus; None for nothing.
        softplus: whether the step sizes go through softplus.
    """

    u: Tensor
    projected: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    A: Tensor
    D: Tensor
    spatial_shape: list[int]
    delta: Tensor | None = None
    softplus: bool = True

    @property
    def directions(self) -> int:
        """Number K of directions that are scanned."""
        return self.A.shape[0]

    @property
    def rank(self) -> int:
        """Rank R of the step size."""
        return self.dt_weight.shape[2]

    @property
    def state_size(self) -> int:
        """Number N of states of a channel."""
        return self.A.shape[2]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The six tensors, and ``delta`` where there is one."""
        return self[:6] if self.delta is None else (*self[:6], self.delta)

    def replace_tensors(self, tensors: Iterable[Tensor]) -> "ScanInputs":
        """Return the same scan of other tensors, given in the order of :attr:`tensors`."""
        u, projected, dt_weight, dt_bias, A, D, *delta = tensors
        return ScanInputs(
            u, projected, dt_weight, dt_bias, A, D, self.spatial_shape, delta[0] if delta else None, self.softplus
        )

    def convert(self, dtype: torch.dtype, keep_half: bool = False) -> "ScanInputs":
        """Convert the tensors to the dtype of the scan.

        Args:
            dtype: what :func:`choose_dtype` returns.
            keep_half: whether ``u``, ``projected`` and ``delta`` stay float16 or bfloat16, for a kernel that converts
                what it reads.
        """
        per_token = {0, 1, 6} if keep_half else set()
        return self.replace_tensors(
            tensor if number in per_token and tensor.dtype in HALVES else tensor.to(dtype)
            for number, tensor in enumerate(self.tensors)
        )

    def check(self) -> None:
        """Raise a ValueError that names the first input whose shape or device does not fit the others."""
        u, _, dt_weight, _, A, _ = self[:6]
        if u.ndim != 3 or dt_weight.ndim != 3 or A.ndim != 3:
            raise ValueError(
                "u must be (B, L, C), dt_weight (K, C, R) and A (K, C, N), "
                f"got {tuple(u.shape)}, {tuple(dt_weight.shape)} and {tuple(A.shape)}"
            )
        shape = list(self.spatial_shape)
        if not shape or any(size < 1 for size in shape):
            raise ValueError(f"spatial_shape must hold one or more sizes of at least 1, got {shape}")
        channels, rank, state_size = u.shape[2], self.rank, self.state_size
        if channels < 1 or rank < 1 or state_size < 1:
            raise ValueError(
                f"there must be channels, a rank and states, got C = {channels}, R = {rank}, N = {state_size}"
            )
        for (name, expected), tensor in zip(self._expected_shapes().items(), self[:6], strict=True):
            if tuple(tensor.shape) != expected:
                raise ValueError(
                    f"{name} must have shape {expected} for spatial_shape {shape}, got {tuple(tensor.shape)}"
                )
            if tensor.device != u.device:
                raise ValueError(f"{name} is on {tensor.device}, u is on {u.device}: all inputs must share a device")

    def _expected_shapes(self) -> dict[str, tuple[int, ...]]:
        (batch, _, channels), rank, state_size = self.u.shape, self.rank, self.state_size
        length, directions = math.prod(self.spatial_shape), 2 * len(self.spatial_shape)
        return {
            "u": (batch, length, channels),
            "projected": (batch, length, directions, rank + 2 * state_size),
            "dt_weight": (directions, channels, rank),
            "dt_bias": (directions, channels),
            "A": (directions, channels, state_size),
            "D": (directions, channels),
        }


def choose_dtype(tensors: Iterable[Tensor]) -> torch.dtype:
    """Return float64 if all tensors are float64, float32 if all are floating point and none is float64.

    Raises:
        ValueError: for any other mixture.
    """
    dtypes = {tensor.dtype for tensor in tensors}
    if dtypes == {torch.float64}:
        return torch.float64
    if torch.float64 in dtypes or not all(dtype.is_floating_point for dtype in dtypes):
        raise ValueError(
            f"inputs must be floating point, and all or none of them float64, got {sorted(map(str, dtypes))}"
        )
    return torch.float32
