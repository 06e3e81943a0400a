"""Copies of networks for export: batch norms folded, and scans spelt in operations that every runtime has."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.export.looped_scan import TOKENS, looped_directional_scan
from medmamba_monai.networks import MedMamba
from medmamba_monai.networks.blocks import SS2D
from medmamba_monai.networks.fuse_batch_norm import fold_batch_norm
from medmamba_monai.selective_scan import ScanInputs


def make_loopable(module: nn.Module, tokens: int = TOKENS) -> nn.Module:
    """Copy a module with every scan as one loop, see :mod:`~medmamba_monai.export.looped_scan`.

    Args:
        module: a :class:`~medmamba_monai.networks.MedMamba`, or what holds some; anything else is only copied.
        tokens: of a turn of the loop.

    Returns:
        A copy in evaluation mode with the same output up to rounding.
    """
    copied = _fold_all(module)
    for part in copied.modules():
        if isinstance(part, SS2D):
            part.scan = MethodType(_make_scan(tokens), part)  # type: ignore[method-assign]
            part.scan_backend = "reference"  # keeps the block from its fused operators
    return copied


def make_plain(module: nn.Module) -> nn.Module:
    """Copy a module with every scan written out in plain operations, see ``MedMamba.set_exportable``.

    Args:
        module: as `make_loopable` takes it.

    Returns:
        A copy in evaluation mode with the same output up to rounding.
    """
    copied = _fold_all(module)
    for part in copied.modules():
        if isinstance(part, MedMamba):
            part.set_exportable()
    return copied


def _fold_all(module: nn.Module) -> nn.Module:
    copied = copy.deepcopy(module).eval()
    if isinstance(copied, MedMamba):
        return _fold(copied)
    for name, part in [*copied.named_modules()]:
        if isinstance(part, MedMamba):
            copied.set_submodule(name, _fold(part))
    return copied


def _fold(network: MedMamba) -> nn.Module:
    try:
        return fold_batch_norm(network)
    except UserError:  # another norm, or one that is folded already: its own operator is exported
        return network


def _make_scan(tokens: int) -> Any:
    def scan(module: Any, u: Tensor, spatial_shape: list[int]) -> Tensor:
        weight = module.x_proj_weight
        projected = functional.linear(u, weight.flatten(0, 1)).unflatten(-1, weight.shape[:2])
        parameters = (module.dt_weight, module.dt_bias, -torch.exp(module.A_log.float()), module.D)
        return looped_directional_scan(ScanInputs(u, projected, *parameters, spatial_shape), tokens)

    return scan
