"""The scans that the living networks of this process will ask for, so that their kernels can be compiled together."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakSet

import torch
from torch import nn


class ScanSizes(NamedTuple):
    """What the kernels of a scan are compiled for, and its number of channels."""

    directions: int
    channels: int
    rank: int
    state_size: int


_LAYERS: WeakSet[nn.Module] = WeakSet()


def expect_scans_of(layer: nn.Module) -> None:
    """Remember a layer with parameters ``dt_weight`` (K, C, R) and ``A_log`` (K, C, N) for as long as it lives."""
    _LAYERS.add(layer)


def list_expected_scans(device: torch.device) -> list[ScanSizes]:
    """Return the sizes of the remembered layers that are on a device, each once, in order."""
    sizes = set()
    for layer in list(_LAYERS):
        weight, rates = layer.get_parameter("dt_weight"), layer.get_parameter("A_log")
        if weight.device == device:
            directions, channels, rank = weight.shape
            sizes.add(ScanSizes(directions, channels, rank, rates.shape[2]))
    return sorted(sizes)
