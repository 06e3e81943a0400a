"""MedViT for images, after Manzari et al. (Computers in Biology and Medicine 157, 106791, 2023; arXiv 2302.09462).

Written from a description of the architecture and from reference values. Where the published code differs from the
paper (there is no Patch Momentum Changer in it, and its sizes have three times the parameters of its own figure), this
network follows the code, so that the official weights fit; state dicts have the official keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medvit.blocks import EfficientConvolutionBlock, LocalTransformerBlock
from medmamba_monai.networks.medvit.parts import StemLayer

STEM = (64, 32, 64, 64)
STEM_STRIDES = (2, 1, 1, 2)
CHANNELS = ((96, None), (192, 256), (384, 512), (768, 1024))
"""Channels of each stage's blocks of convolutions, and of its blocks of attention (None: it has none)."""
REDUCTIONS = (8, 4, 2, 1)
GROUP = 5
"""Blocks of the third stage before its pattern repeats: four of convolutions, one of attention."""
SMALLEST_SIZE = 25


class Size(NamedTuple):
    """Blocks of each of the four stages, and the drop path rate of the last."""

    depths: tuple[int, int, int, int]
    drop_path_rate: float


SIZES = {
    "medvit_t": Size((3, 4, 10, 3), 0.1),
    "medvit_s": Size((3, 4, 20, 3), 0.2),
    "medvit_l": Size((3, 4, 30, 3), 0.2),
}
"""MedViT-T, -S and -L, which the official code calls small, base and large."""


class MedViT(nn.Module):
    """MedViT, a classifier of images; the defaults are MedViT-T.

    Args:
        in_channels: channels of the input; official weights are for 3.
        num_classes: number of logits.
        depths: blocks of each of the four stages; the third is a multiple of five.
        drop_path_rate: probability in [0, 1) of dropping the last block's branches for an image in training; it grows
            linearly from 0 at the first block.

    Attributes:
        num_classes: number of logits.
        smallest_size: edge of the smallest square image, pixels.

    Raises:
        UserError: the depths or the rate are out of their range.

    Example:
        >>> net = MedViT(in_channels=1, num_classes=2, depths=(1, 2, 5, 2))
        >>> net.eval()(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 2])
    """

    smallest_size = SMALLEST_SIZE

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 1000,
        *,
        depths: Sequence[int] = SIZES["medvit_t"].depths,
        drop_path_rate: float = SIZES["medvit_t"].drop_path_rate,
    ) -> None:
        super().__init__()
        _check_arguments(depths, drop_path_rate)
        self.in_channels, self.num_classes = in_channels, num_classes
        widths = pairwise((in_channels, *STEM))
        self.stem = nn.Sequential(*(StemLayer(*w, stride) for w, stride in zip(widths, STEM_STRIDES, strict=True)))
        self.features = nn.Sequential(*_make_blocks(depths, drop_path_rate))
        self.norm = nn.BatchNorm2d(CHANNELS[-1][1] or 0)
        self.proj_head = nn.Sequential(nn.Linear(self.norm.num_features, num_classes))
        self.apply(_draw)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: images (B, in_channels, H, W), square ones from ``smallest_size`` pixels on.

        Returns:
            Logits (B, num_classes), a plain tensor also for a ``MetaTensor``.
        """
        x = x.as_tensor() if isinstance(x, MetaTensor) else x
        return self.proj_head(self.forward_features(x).mean((2, 3)))

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the last map (B, 1024, H / 32, W / 32), sizes rounded up at each halving."""
        return self.norm(self.features(self.stem(x)))

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head by a newly drawn one on the same device and in the same dtype.

        Args:
            num_classes: number of logits.
        """
        like = self.norm.weight
        self.proj_head[0] = nn.Linear(self.norm.num_features, num_classes).to(like.device, like.dtype)
        self.num_classes = num_classes
        self.proj_head.apply(_draw)


def _make_blocks(depths: Sequence[int], drop_path_rate: float) -> Iterator[nn.Module]:
    """Yield the blocks of all stages, the rates of which grow from 0 to that of the last."""
    rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist())
    width = STEM[-1]
    for stage, (depth, (convolved, attended)) in enumerate(zip(depths, CHANNELS, strict=True)):
        for position in range(depth):
            if attended is not None and _is_attention(stage, depth, position):
                yield LocalTransformerBlock(width, attended, REDUCTIONS[stage], next(rates))
                width = attended
            else:
                stride = 2 if stage > 0 and position == 0 else 1
                yield EfficientConvolutionBlock(width, convolved, stride, next(rates))
                width = convolved


def _is_attention(stage: int, depth: int, position: int) -> bool:
    """Say whether a block is one of attention: the last of a stage, or of each group of the third."""
    period = GROUP if stage == 2 else depth
    return position % period == period - 1


def _check_arguments(depths: Sequence[int], drop_path_rate: float) -> None:
    if len(depths) != len(CHANNELS) or any(depth < 1 for depth in depths) or depths[2] % GROUP:
        raise UserError(
            f"MedViT: depths={list(depths)!r}, but it takes four positive numbers, the third a multiple of {GROUP}"
        )
    if any(depth < 2 for depth in (depths[1], depths[3])):
        raise UserError(f"MedViT: depths={list(depths)!r}, but the second and the fourth stage need 2 blocks or more")
    if not 0 <= drop_path_rate < 1:
        raise UserError(f"MedViT: drop_path_rate={drop_path_rate!r}, but it must be in [0, 1)")


def _draw(module: nn.Module) -> None:
    """Draw weights of linear layers and convolutions from a truncated normal distribution; biases are 0."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
