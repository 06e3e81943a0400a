"""The networks that MedMamba is compared with, of MONAI, of transformers and MedViT, as classifiers called like it.

All begin with random weights; nothing is downloaded. Their parts are those of the papers: where MONAI's default is
another one, it is set, and said below. Convolutional networks for images are in channels-last memory format, as
MedMamba's convolutions are: that makes training steps on a CPU 6 to 15 % shorter. Those for volumes would take longer.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError

EXTRA = "medmamba-monai[baselines]"


class Baseline(NamedTuple):
    """How a network is built and what it takes.

    Attributes:
        title: name for readers.
        build: (spatial_dims, in_channels, num_classes, image_size[, drop_path_rate]) -> network.
        package: what it needs from the extra ``baselines``, None if nothing.
        spatial_dims: 2 for images, 3 for volumes.
        smallest_size: smallest edge of an image, pixels.
        multiple_of: what an edge must be a multiple of; where it is not 1, the network takes only the size that it was
            built for.
        drop_path: whether it has a drop path rate.
    """

    title: str
    build: Callable[..., nn.Module]
    package: str | None = None
    spatial_dims: tuple[int, ...] = (2, 3)
    smallest_size: int = 1
    multiple_of: int = 1
    drop_path: bool = False


class Classifier(nn.Module):
    """A network whose input is checked and whose output is its logits alone, as those of MedMamba are.

    Args:
        network: returns logits, or logits first among other things.
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        smallest_size: smallest size of a spatial axis.
        fixed_size: the one size that every spatial axis must have, None if there are others.
    """

    def __init__(
        self, network: nn.Module, spatial_dims: int, in_channels: int, smallest_size: int, fixed_size: int | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.smallest_size, self.fixed_size = smallest_size, fixed_size

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Args:
            x: images (B, in_channels, H, W) or volumes (B, in_channels, H, W, D).

        Returns:
            Logits (B, num_classes), a plain tensor also for a ``MetaTensor``.

        Raises:
            UserError: the rank, the channels or the size of ``x`` do not fit the network (a ``ValueError``).
        """
        if not torch.jit.is_tracing():  # which makes tensors of sizes
            self.check_input(x)
        output = self.network(x.as_tensor() if isinstance(x, MetaTensor) else x)
        return output if isinstance(output, Tensor) else output[0]

    def check_input(self, x: Tensor) -> None:
        """Raise a UserError unless ``x`` has the rank, the channels and the size that the network needs."""
        sizes = set(x.shape[2:])
        fits = sizes == {self.fixed_size} if self.fixed_size else min(sizes, default=0) >= self.smallest_size
        if x.ndim != self.spatial_dims + 2 or x.shape[1] != self.in_channels or not fits:
            size = f"is {self.fixed_size}" if self.fixed_size else f"is {self.smallest_size} or more"
            raise UserError(
                f"this network takes (batch, channels, spatial axes) with {self.in_channels} channels and "
                f"{self.spatial_dims} spatial axes, the size of each {size}; got the shape {list(x.shape)}"
            )


def build_baseline(
    name: str,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    image_size: int,
    drop_path_rate: float | None = None,
) -> Classifier:
    """Build a network of :data:`BASELINES` with random weights.

    Args:
        name: a key of that table.
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        num_classes: number of logits.
        image_size: edge of the images, pixels.
        drop_path_rate: probability in [0, 1) of dropping the last block for an image in training; None for the default
            of the library.

    Raises:
        UserError: the network does not take such images or has no drop path rate, or what it needs is not installed.
    """
    baseline = BASELINES[name]
    _check_images(name, spatial_dims, image_size)
    options = {} if drop_path_rate is None else {"drop_path_rate": _check_rate(name, drop_path_rate)}
    if baseline.package is not None and find_spec(baseline.package) is None:
        raise UserError(f"network {name!r} needs {baseline.package}, which is missing: pip install '{EXTRA}'")
    network = baseline.build(spatial_dims, in_channels, num_classes, image_size, **options)
    fixed_size = image_size if baseline.multiple_of > 1 else None
    return Classifier(network, spatial_dims, in_channels, baseline.smallest_size, fixed_size)


def _check_images(name: str, spatial_dims: int, image_size: int) -> None:
    _, _, _, dims, smallest, step, _ = BASELINES[name]
    if spatial_dims not in dims:
        others = ", ".join(other for other, baseline in BASELINES.items() if spatial_dims in baseline.spatial_dims)
        advice = f"choose a MedMamba or one of {others}" if others else f"choose one of {', '.join(map(str, dims))}"
        raise UserError(f"network {name!r} does not exist for spatial_dims={spatial_dims!r}: {advice}")
    if image_size < smallest:
        raise UserError(f"network {name!r} takes images of {smallest} pixels or more, not image_size={image_size}")
    if image_size % step:
        near = image_size // step * step
        raise UserError(
            f"network {name!r} takes images whose edge is a multiple of {step} pixels, not image_size={image_size}: "
            f"choose {near} or {near + step}"
        )


def _check_rate(name: str, rate: float) -> float:
    if not BASELINES[name].drop_path:
        raise UserError(f"network {name!r} has no drop path, but drop_path_rate={rate!r} was given: leave it out")
    if not 0 <= rate < 1:
        raise UserError(f"network {name!r}: drop_path_rate={rate!r}, but it must be in [0, 1)")
    return rate


def _make_resnet_builder(depth: int) -> Callable[..., nn.Module]:
    def build(spatial_dims: int, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from monai.networks import nets

        # MONAI's defaults have stride 1 in the first convolution, and biases that the batch norms behind them cancel.
        options: dict[str, Any] = {"conv1_t_stride": 2, "bias_downsample": False, "n_input_channels": in_channels}
        options |= {"spatial_dims": spatial_dims, "num_classes": num_classes}
        return _make_channels_last(getattr(nets, f"resnet{depth}")(**options), spatial_dims)

    return build


def _build_densenet121(spatial_dims: int, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
    from monai.networks.nets import DenseNet121

    return _make_channels_last(DenseNet121(spatial_dims, in_channels, num_classes), spatial_dims)


def _build_vit_b16(spatial_dims: int, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
    from monai.networks.nets import ViT

    network = ViT(
        in_channels=in_channels,
        img_size=image_size,
        patch_size=16,
        spatial_dims=spatial_dims,
        classification=True,
        num_classes=num_classes,
        post_activation="",  # the default bounds the logits with a Tanh
        qkv_bias=True,
    )
    for block in network.blocks:
        attention: Any = block.attn
        # PyTorch's fused function, of which ViT offers no choice; else each layer holds its attention matrix in memory.
        attention.use_flash_attention = True
        # Nothing runs this norm, and DistributedDataParallel refuses parameters without a gradient.
        block.norm_cross_attn = nn.Identity()
    return network


def _build_swin_t(spatial_dims: int, in_channels: int, num_classes: int, image_size: int, **options: Any) -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    options |= {"depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "embed_dim": 96, "window_size": 7}
    options |= {"num_channels": in_channels, "num_labels": num_classes, "image_size": image_size}
    return SwinForImageClassification(SwinConfig(**options))


def _build_convnext_b(
    spatial_dims: int, in_channels: int, num_classes: int, image_size: int, **options: Any
) -> nn.Module:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    options |= {"depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024]}
    options |= {"num_channels": in_channels, "num_labels": num_classes, "image_size": image_size}
    return _make_channels_last(ConvNextForImageClassification(ConvNextConfig(**options)), spatial_dims)


def _make_medvit_builder(name: str) -> Callable[..., nn.Module]:
    def build(spatial_dims: int, in_channels: int, num_classes: int, image_size: int, **options: Any) -> nn.Module:
        from medmamba_monai.networks.medvit import SIZES, MedViT

        return _make_channels_last(MedViT(in_channels, num_classes, **SIZES[name]._asdict() | options), spatial_dims)

    return build


def _make_channels_last(network: Any, spatial_dims: int) -> nn.Module:
    return network.to(memory_format=torch.channels_last) if spatial_dims == 2 else network


# Sizes: five halvings leave one pixel of 29 in DenseNet's rounding and of 32 in ConvNeXt's, and a window of 7 of 193;
# 16 tokens, which MedViT averages to one, are left of 25.
BASELINES = {
    "resnet18": Baseline("ResNet-18", _make_resnet_builder(18)),
    "resnet50": Baseline("ResNet-50", _make_resnet_builder(50)),
    "densenet121": Baseline("DenseNet-121", _build_densenet121, smallest_size=29),
    "vit_b16": Baseline("ViT-B/16", _build_vit_b16, "einops", smallest_size=16, multiple_of=16),
    "swin_t": Baseline("Swin-T", _build_swin_t, "transformers", (2,), smallest_size=193, drop_path=True),
    "convnext_b": Baseline("ConvNeXt-B", _build_convnext_b, "transformers", (2,), smallest_size=32, drop_path=True),
    "medvit_t": Baseline("MedViT-T", _make_medvit_builder("medvit_t"), None, (2,), smallest_size=25, drop_path=True),
    "medvit_s": Baseline("MedViT-S", _make_medvit_builder("medvit_s"), None, (2,), smallest_size=25, drop_path=True),
    "medvit_l": Baseline("MedViT-L", _make_medvit_builder("medvit_l"), None, (2,), smallest_size=25, drop_path=True),
}
