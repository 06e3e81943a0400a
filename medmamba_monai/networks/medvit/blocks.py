"""The two blocks of MedViT: one of convolutions, and one of attention beside convolutions."""

from __future__ import annotations

import torch
from monai.networks.layers import DropPath
from torch import Tensor, nn

from medmamba_monai.networks.medvit.parts import (
    EfficientAttention,
    GroupedConvolution,
    LocalFeedForward,
    PatchEmbedding,
    make_patch_embedding,
)

ATTENTION_SHARE = 0.75
"""Share of a block's channels, and of its drop path rate, that the attention of `LocalTransformerBlock` has."""


class EfficientConvolutionBlock(nn.Module):
    """Convolutions that mix a neighbourhood, then the feed-forward network (the paper's ECB).

    Args:
        in_channels: channels of the input.
        channels: C.
        stride: 2 halves the map, rounded up.
        drop_path_rate: probability of dropping the grouped convolution for an image in training.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, drop_path_rate: float) -> None:
        super().__init__()
        self.patch_embed = make_patch_embedding(in_channels, channels, stride)
        self.mhca = GroupedConvolution(channels)
        self.drop_path = DropPath(drop_path_rate)
        self.conv = LocalFeedForward(channels, expansion=3)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, C, H / stride, W / stride), rounded up."""
        x = self.patch_embed(x)
        x = x + self.drop_path(self.mhca(x))
        return x + self.conv(self.norm(x))


class LocalTransformerBlock(nn.Module):
    """Attention on three quarters of the channels, convolutions on the last, then the feed-forward network (LTB).

    Args:
        in_channels: channels of the input.
        channels: C, a multiple of 128.
        reduction: of `EfficientAttention`.
        drop_path_rate: probability in training of dropping, for an image, the attention (three quarters of it) and the
            grouped convolution (one quarter).
    """

    def __init__(self, in_channels: int, channels: int, reduction: int, drop_path_rate: float) -> None:
        super().__init__()
        attended = int(ATTENTION_SHARE * channels)
        self.patch_embed = make_patch_embedding(in_channels, attended, 1)
        self.norm1 = nn.BatchNorm2d(attended)
        self.e_mhsa = EfficientAttention(attended, reduction)
        self.attention_drop_path = DropPath(ATTENTION_SHARE * drop_path_rate)
        self.projection = PatchEmbedding(attended, channels - attended)
        self.mhca = GroupedConvolution(channels - attended)
        self.convolution_drop_path = DropPath((1 - ATTENTION_SHARE) * drop_path_rate)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv = LocalFeedForward(channels, expansion=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, C, H, W)."""
        x = self.patch_embed(x)
        x = x + self.attention_drop_path(self.attend(x))
        convolved = self.projection(x)
        convolved = convolved + self.convolution_drop_path(self.mhca(convolved))
        x = torch.cat([x, convolved], 1)
        return x + self.conv(self.norm2(x))

    def attend(self, x: Tensor) -> Tensor:
        """Normalize a map (B, 3C / 4, H, W) and compute its attention, of the same shape."""
        tokens = self.norm1(x).flatten(2).transpose(1, 2)
        return torch.unflatten(self.e_mhsa(tokens).transpose(1, 2), 2, x.shape[2:])
