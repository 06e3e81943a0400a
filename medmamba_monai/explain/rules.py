"""Layers whose derivative conserves: the output is the gradient times the input, and what a bias adds.

Each computes what the layer it stands for computes, and reads that layer's parameters when it is called. Only the
derivative differs: factors that depend on the input are held constant, so that a layer is linear in its input.
Parameters never get gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.biases import BiasAccount

HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU)
"""Activations that are their derivative times their input already."""


class Rule(nn.Module):
    """Stand-in for a layer.

    Args:
        layer: the layer, whose parameters are read; it is not called where it has a rule of its own.
        account: where shifts are noted.
    """

    def __init__(self, layer: nn.Module, account: BiasAccount) -> None:
        super().__init__()
        self.__dict__["layer"] = layer  # no child: what is done to the modules of an explanation spares the network
        self.account = account

    layer: Any


class WeightedSumRule(Rule):
    """A layer of weighted sums z of inputs and a bias: relevance is the gradient times the input (LRP-0).

    With ``gamma`` above 0 it is LRP-gamma (Montavon et al., Layer-wise relevance propagation: an overview, 2019), taken
    from inputs above zero to inputs of any sign: contributions with the sign of z count 1 + gamma times, and all are
    scaled so that they add up to z again. Contributions that cancel one another are then heard less.
    """

    channel_axis = -1
    gamma = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs to sums."""
        weight, bias = self.layer.weight.detach(), detach(self.layer.bias)
        z = self._add_up(x, weight, bias)
        if not self.gamma:
            return z
        above = self._add_up(x.clamp(min=0), weight.clamp(min=0), None if bias is None else bias.clamp(min=0))
        above = above + self._add_up(x.clamp(max=0), weight.clamp(max=0), None)
        favored = z + self.gamma * torch.where(z > 0, above, z - above)
        with torch.no_grad():
            scale = torch.where(favored == 0, 0, z / favored)
        return favored * scale

    def _add_up(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self.account.note(self.apply_weights(x, weight, bias), bias, self.channel_axis)

    def apply_weights(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute what the layer does with other weights."""
        raise NotImplementedError


class LinearRule(WeightedSumRule):
    """A linear layer, (..., in) to (..., out)."""

    def apply_weights(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute what the layer does with other weights."""
        return functional.linear(x, weight, bias)


class ConvolutionRule(WeightedSumRule):
    """A convolution, (B, in, S) to (B, out, S'); the zeros that pad its input carry nothing."""

    channel_axis = 1

    def apply_weights(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute what the layer does with other weights."""
        summed: Tensor = self.layer._conv_forward(x, weight, bias)
        return summed


class BatchNormRule(Rule):
    """A batch norm in evaluation: a fixed scale and a shift of each channel, and the shift is a bias."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, M, S)."""
        norm = self.layer
        if norm.running_mean is None:
            raise UserError("ScanRelevance: a batch norm without running statistics mixes the images of a batch")
        scale = (norm.running_var + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight.detach()
        shift = -norm.running_mean * scale
        shift = shift if norm.bias is None else shift + norm.bias.detach()
        of_channels = [-1, *[1] * (x.ndim - 2)]
        return self.account.note(torch.addcmul(shift.view(of_channels), x, scale.view(of_channels)), shift, 1)


class LayerNormRule(Rule):
    """A layer norm: centering is linear, and the deviation is held constant."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last axes of x, such as (..., channels)."""
        norm = self.layer
        weight, bias = (None if t is None else t.detach().flatten() for t in (norm.weight, norm.bias))
        y = standardize(x.flatten(-len(norm.normalized_shape)), norm.eps)
        y = y if weight is None else y * weight
        return self.account.note(y if bias is None else y + bias, bias, -1).view(x.shape)


class GroupNormRule(Rule):
    """A group norm or an instance norm, as :class:`LayerNormRule` over the values of a group."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, M, S)."""
        norm = self.layer
        if getattr(norm, "running_mean", None) is not None:
            return BatchNormRule(norm, self.account)(x)
        groups = getattr(norm, "num_groups", x.shape[1])
        y = standardize(x.unflatten(1, [groups, -1]).flatten(2), norm.eps).reshape(x.shape)
        of_channels = [-1, *[1] * (x.ndim - 2)]
        y = y if norm.weight is None else y * norm.weight.detach().view(of_channels)
        bias = detach(norm.bias)
        return self.account.note(y if bias is None else y + bias.view(of_channels), bias, 1)


class ActivationRule(Rule):
    """An activation f as x times the constant (f(x) - f(0)) / x, and f(0) is a bias."""

    def forward(self, x: Tensor) -> Tensor:
        """Activate (B, M, S)."""
        with torch.no_grad():
            offset = self.layer.forward(torch.zeros_like(x[:1, :, :1]))
            change = self.layer.forward(x.clone()) - self.layer.forward(torch.zeros_like(x))
            factor = torch.where(x == 0, 0, change / x)
        shift = offset.movedim(1, -1).reshape(-1, x.shape[1])[0]
        of_channels = [-1, *[1] * (x.ndim - 2)]
        return self.account.note(x * factor + shift.view(of_channels), shift, 1)


def standardize(x: Tensor, eps: float) -> Tensor:
    """Center over the last axis and divide by the deviation, which is held constant."""
    centered = x - x.mean(-1, keepdim=True)
    with torch.no_grad():
        scale = (centered.square().mean(-1, keepdim=True) + eps).rsqrt()
    return centered * scale


def hold_silu(x: Tensor) -> Tensor:
    """Return SiLU of x as x times a constant, the sigmoid of x."""
    return x * torch.sigmoid(x.detach())


def detach(tensor: Tensor | None) -> Tensor | None:
    """Return a tensor without its gradient, None for None."""
    return None if tensor is None else tensor.detach()


def find_rule(layer: nn.Module) -> type[Rule] | None:
    """Return the rule for a layer, None for one that needs none.

    Raises:
        UserError: there is no rule for it.
    """
    for kinds, rule in _RULES:
        if isinstance(layer, kinds):
            return rule
    if isinstance(layer, (nn.Identity, *HOMOGENEOUS)):
        return None
    if type(layer).__module__.startswith(("torch.nn.modules.activation", "monai.networks.blocks.activation")):
        return ActivationRule
    raise UserError(f"ScanRelevance has no rule for the layer {type(layer).__name__}: choose another method")


_RULES: tuple[tuple[Any, type[Rule]], ...] = (
    (nn.Linear, LinearRule),
    (_ConvNd, ConvolutionRule),
    ((_InstanceNorm, nn.GroupNorm), GroupNormRule),
    (_BatchNorm, BatchNormRule),
    (nn.LayerNorm, LayerNormRule),
)
