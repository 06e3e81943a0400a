"""The numbers that a network's last linear layer is given, beside its logits.

They are taken where they pass, since networks of other libraries have no function that returns them.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError


def find_head(network: nn.Module, num_classes: int) -> nn.Linear:
    """Return the layer of a network that makes its logits: its last linear layer with an output for each class.

    Raises:
        UserError: there is none.

    Example:
        >>> from medmamba_monai.networks import build_network
        >>> find_head(build_network("resnet18", 2, 1, 3, image_size=32), 3).in_features
        512
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    if not layers:
        raise UserError(f"{type(network).__name__}: has no linear layer with {num_classes} outputs")
    return layers[-1]


def compute_with_features(network: nn.Module, head: nn.Linear, images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute logits, and what they are computed from.

    Args:
        network: in evaluation mode.
        head: its layer, see `find_head`.
        images: (B, C, *spatial).

    Returns:
        The network's output (B, num_classes), the same as without this function, and features (B, F).
    """
    taken: list[Tensor] = []
    own = threading.get_ident()

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == own:  # another thread may use the network at the same time
            taken.append(inputs[0].detach())

    handle = head.register_forward_pre_hook(take)
    try:
        logits = network(images)
    finally:
        handle.remove()
    return logits, torch.flatten(taken[-1], 1)
