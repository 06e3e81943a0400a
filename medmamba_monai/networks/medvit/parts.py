"""The parts of MedViT's blocks, from the inside out.

Letters: B images in a batch, C channels of a map (B, C, H, W), L = H * W its tokens. Convolutions before a batch norm
have no bias. Names of attributes are those of the official state dicts, so that their weights fit as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_CHANNELS = 32
"""Channels of one attention head, and of one group of the grouped convolution."""


class StemLayer(nn.Module):
    """3x3 convolution, batch norm and ReLU.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: 2 halves the map, rounded up.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride), rounded up."""
        return functional.relu(self.norm(self.conv(x)))


class PatchEmbedding(nn.Module):
    """Average of 2x2 pixels where the map is halved, then a 1x1 convolution and a batch norm.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: 2 halves the map, rounded up; 1 leaves it.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.pool: nn.Module = pool if stride == 2 else nn.Identity()
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride), rounded up."""
        return self.norm(self.conv(self.pool(x)))


def make_patch_embedding(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Make the layer at the start of a block: nothing where neither the map's size nor its channels change."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return PatchEmbedding(in_channels, channels, stride)


class GroupedConvolution(nn.Module):
    """Multi-head convolutional attention of the paper (MHCA): a grouped 3x3 convolution, then a 1x1 convolution.

    Args:
        channels: C, a multiple of `HEAD_CHANNELS`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = channels // HEAD_CHANNELS
        self.group_conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.projection = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return self.projection(functional.relu(self.norm(self.group_conv3x3(x))))


class HardGate(nn.Module):
    """relu6(x + 3) / 6; PyTorch's ``Hardsigmoid`` rounds the 1/6 of its gradient to float32, whatever the dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any tensor to values from 0 to 1."""
        return functional.relu6(x + 3) / 6


class SqueezeAndExcite(nn.Module):
    """Channels scaled by what their means say.

    Args:
        channels: of the map.
        hidden: units between the two linear layers.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), HardGate())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class LocalFeedForward(nn.Module):
    """Feed-forward network with a depthwise convolution (the paper's LFFN), added to its own input.

    Args:
        channels: C.
        expansion: channels inside, as a multiple of C; also the hidden units of the squeeze-and-excite, whose
            reduction is C.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        inside = expansion * channels
        self.conv = nn.Sequential(
            nn.Conv2d(channels, inside, 1, bias=False),
            nn.BatchNorm2d(inside),
            nn.Hardswish(),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.Hardswish(),
            SqueezeAndExcite(inside, expansion),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x + self.conv(x)


class EfficientAttention(nn.Module):
    """Self-attention (the paper's ESA) whose keys and values come from averaged tokens.

    Tokens are averaged over runs of ``reduction ** 2`` that follow each other in the row-major sequence, not over
    windows of the map; a remainder at its end is dropped.

    Args:
        channels: C, a multiple of `HEAD_CHANNELS`.
        reduction: square root of the tokens that become one; 1 for none.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.q = nn.Linear(channels, channels)
        self.k = nn.Linear(channels, channels)
        self.v = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels)
        self.reduced = reduction > 1
        if self.reduced:
            self.sr = nn.AvgPool1d(reduction**2)
            self.norm = nn.BatchNorm1d(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, L, C) to (B, L, C)."""
        sources = tokens
        if self.reduced:
            sources = self.norm(self.sr(tokens.transpose(1, 2))).transpose(1, 2)
        heads = (_split(self.q(tokens)), _split(self.k(sources)), _split(self.v(sources)))
        mixed = functional.scaled_dot_product_attention(*heads)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def extra_repr(self) -> str:
        """Say how many heads there are."""
        return f"heads={self.q.in_features // HEAD_CHANNELS}"


def _split(tokens: Tensor) -> Tensor:
    """Split tokens (B, L, C) into heads (B, C / 32, L, 32)."""
    return torch.unflatten(tokens, 2, (-1, HEAD_CHANNELS)).transpose(1, 2)
