"""Small networks with weights that say something, and images for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medmamba_monai.networks import MedMamba

SHAPES = {2: (2, 2, 22, 17), 3: (2, 2, 8, 11, 8)}


def small_net(spatial_dims: int = 2, seed: int = 0, **options: Any) -> MedMamba:
    """A network of two stages whose norms and biases are far from where training starts, in evaluation mode."""
    torch.manual_seed(seed)
    sizes = {"depths": (1, 2), "channels": (4, 8), "patch_size": 2, "state_size": 4}
    net = MedMamba(spatial_dims, 2, 3, **(sizes | options))
    for parameter in net.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    for norm in net.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return net.eval()


def draw_images(spatial_dims: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPES[spatial_dims], generator=torch.Generator().manual_seed(1), dtype=dtype)
