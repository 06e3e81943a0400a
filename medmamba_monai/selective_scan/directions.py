"""The orders in which a scan visits the tokens of an image or a volume, and the way back."""

from __future__ import annotations

import torch
from torch import Tensor


def scan_orders(spatial_shape: list[int], device: torch.device) -> Tensor:
    """Number the tokens of a map in the order in which each direction visits them.

    A map of d axes has K = 2 * d directions. Direction i < d nests the axes cyclically: axis i varies slowest, then
    axis i + 1, and so on round to axis i - 1, which varies fastest. Direction d + i is direction i walked backwards.
    In 2D that is row by row, column by column, then both reversed, the order of MedMamba's cross-scan (section 3.1).

    The function can be scripted by TorchScript.

    Args:
        spatial_shape: size of each axis, for example [height, width].
        device: where the result lives.

    Returns:
        int64 tensor (K, L), L = prod(spatial_shape): entry (k, t) is the row-major number of the token that direction
        k visits at step t.

    Example:
        >>> scan_orders([2, 3], torch.device("cpu"))[:2].tolist()
        [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5]]
    """
    dims = len(spatial_shape)
    length = 1
    for size in spatial_shape:
        length *= size
    tokens = torch.arange(length, device=device).reshape(spatial_shape)
    orders = [tokens.permute([(first + i) % dims for i in range(dims)]).flatten() for first in range(dims)]
    forward = torch.stack(orders)
    return torch.cat([forward, forward.flip(1)])


def scan_positions(spatial_shape: list[int], device: torch.device) -> Tensor:
    """Tell at which step each direction visits each token, the inverse of :func:`scan_orders`.

    It is written down, not sorted out: mobile runtimes have no ``argsort``. The function can be scripted.

    Args:
        spatial_shape: size of each axis, for example [height, width].
        device: where the result lives.

    Returns:
        int64 tensor (K, L): entry (k, i) is the step at which direction k visits the token of row-major number i.

    Example:
        >>> scan_positions([2, 3], torch.device("cpu"))[:2].tolist()
        [[0, 1, 2, 3, 4, 5], [0, 2, 4, 1, 3, 5]]
    """
    dims = len(spatial_shape)
    length = 1
    for size in spatial_shape:
        length *= size
    steps = torch.arange(length, device=device)
    positions: list[Tensor] = []
    for first in range(dims):
        walked = steps.reshape([spatial_shape[(first + i) % dims] for i in range(dims)])
        positions.append(walked.permute([(axis - first) % dims for axis in range(dims)]).flatten())
    forward = torch.stack(positions)
    return torch.cat([forward, length - 1 - forward])
