"""Batch norms folded into convolutions, for a network that is trained and goes out to predict."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.blocks import SSConvSSM
from medmamba_monai.networks.medmamba import MedMamba


def fold_batch_norm(network: MedMamba) -> MedMamba:
    """Copy a network for inference, with the batch norms that follow a convolution computed by that convolution.

    In evaluation mode such a norm is a fixed scale and shift of each channel, which the weights and the bias before it
    can take over: two of the three norms of a block's convolution branch. The first one stays, as the zeros that
    pad its output cannot be had by scaling the convolution behind it.

    Args:
        network: a trained network, left as it is.

    Raises:
        UserError: the network was built with another ``norm``: only batch norms are fixed once they are trained.

    Returns:
        A copy in evaluation mode that gives the same logits up to rounding. Its state dict lacks the folded norms, so
        it is for export and prediction, not for training on.

    Example:
        >>> net = MedMamba(spatial_dims=2, in_channels=1, num_classes=2, depths=(1, 1), channels=(8, 16))
        >>> sum(isinstance(module, nn.BatchNorm2d) for module in fold_batch_norm(net).modules())
        2
    """
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, SSConvSSM):
            branch: Any = block.conv_branch
            for convolution, norm in (("conv1", "norm2"), ("conv2", "norm3")):
                branch.set_submodule(convolution, _fold(branch.get_submodule(convolution), branch.get_submodule(norm)))
                branch.set_submodule(norm, nn.Identity())
    return folded


def _fold(convolution: Any, norm: nn.Module) -> nn.Module:
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
        raise UserError(
            f"only batch norms with running statistics can be folded, and this network has {type(norm).__name__}: "
            "use it as it is, or train one with norm='batch'"
        )
    return fuse_conv_bn_eval(convolution, norm)
