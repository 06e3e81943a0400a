"""Grad-CAM on the layers of a MedMamba whose maps MONAI reads right."""

from __future__ import annotations

import difflib

from monai.visualize import GradCAM
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medmamba import MedMamba

CHANNEL_LAST = frozenset({"scan_norm", "in_proj", "gate_proj", "out_norm", "out_proj", "norm", "reduction", "head"})
"""Names of the linear layers and layer norms: they see tokens (B, S, M), where Grad-CAM would take an axis of the
image for the channels."""


def list_cam_layers(network: nn.Module) -> list[str]:
    """Return the names of the layers of a MedMamba whose output is a map (B, channels, S), in the order of the network.

    Args:
        network: a :class:`MedMamba`, or a network that holds one.
    """
    inside = [name for name, module in network.named_modules() if isinstance(module, MedMamba)]
    names = [name for name, module in network.named_modules() if name and not isinstance(module, MedMamba)]
    below = [name for name in names if any(name.startswith(f"{start}." if start else "") for start in inside)]
    return [name for name in below if CHANNEL_LAST.isdisjoint(name.split("."))]


def make_grad_cam(network: nn.Module, target_layer: str = "stages", kind: type[GradCAM] = GradCAM) -> GradCAM:
    """Make MONAI's Grad-CAM for a layer of a MedMamba; call it with an image (1, in_channels, H, W) or a volume.

    MONAI's own class can be used as well: this function only refuses the layers that it would misread.

    Args:
        network: a :class:`MedMamba`, or a network that holds one.
        target_layer: one of :func:`list_cam_layers`; by default the map of the last stage.
        kind: ``GradCAM`` or ``GradCAMpp`` of ``monai.visualize``.

    Raises:
        UserError: there is no such layer, or its output is no map with the channels first.

    Example:
        >>> import torch
        >>> network = MedMamba(spatial_dims=2, in_channels=1, num_classes=2, depths=(1, 1), channels=(8, 16))
        >>> make_grad_cam(network, "stages.0.blocks.0")(torch.zeros(1, 1, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """
    layers = list_cam_layers(network)
    if target_layer not in layers:
        known = dict(network.named_modules())
        problem = "sees tokens with the channels last" if target_layer in known else "is no layer of this network"
        near = difflib.get_close_matches(target_layer, layers, 3)
        raise UserError(
            f"Grad-CAM: target_layer={target_layer!r} {problem}; near are {', '.join(map(repr, near or layers[-1:]))}, "
            "and list_cam_layers(network) names all that can be taken"
        )
    return kind(nn_module=network, target_layers=target_layer)
