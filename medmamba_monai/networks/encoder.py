"""MedMamba as the encoder of MONAI's ``FlexibleUNet``, for segmentation in 2D and 3D.

After ``import medmamba_monai`` the names of :data:`SIZES` are backbones: ``FlexibleUNet(3, 2, "medmamba_tiny")``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from monai.data import MetaTensor
from monai.networks.blocks import BaseEncoder, Convolution
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medmamba import MedMamba
from medmamba_monai.networks.official_weights import read_classifier

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "medmamba_tiny": {"depths": (2, 2, 4, 2), "channels": (96, 192, 384, 768)},
    "medmamba_small": {"depths": (2, 2, 8, 2), "channels": (96, 192, 384, 768)},
    "medmamba_base": {"depths": (2, 2, 12, 2), "channels": (128, 256, 512, 1024)},
}
"""Depths and channels of the encoders, as the classifiers of these names have them."""
MOST_STAGES = 4


class MedMambaEncoder(nn.Module, BaseEncoder):
    """A MedMamba without head that returns one map for each halving of the image, as ``FlexibleUNet`` wants them.

    The network itself starts at a quarter of the image's size. The map of half the size, which the decoder needs to
    draw fine borders, comes from a convolution of its own beside the network.

    Args:
        spatial_dims: 2 for images, 3 for volumes.
        in_channels: channels of the input.
        pretrained: False; there is nothing to download, see :func:`load_encoder_weights`.
        options: of :class:`~medmamba_monai.networks.MedMamba`; at most four stages, and no other ``patch_size``.

    Raises:
        UserError: ``pretrained`` is true, or an option does not fit.

    Example:
        >>> import torch
        >>> encoder = MedMambaEncoder(spatial_dims=2, in_channels=1, depths=(1, 1), channels=(8, 16))
        >>> [tuple(map.shape) for map in encoder(torch.zeros(1, 1, 32, 32))]
        [(1, 4, 16, 16), (1, 8, 8, 8), (1, 16, 4, 4)]
    """

    def __init__(self, spatial_dims: int = 2, in_channels: int = 3, pretrained: bool = False, **options: Any) -> None:
        super().__init__()
        if pretrained:
            raise UserError(
                "MedMamba has no weights to download: build the network with pretrained=False, then call "
                "medmamba_monai.networks.load_encoder_weights(network, file)"
            )
        self.network = MedMamba(spatial_dims, in_channels, num_classes=0, patch_size=4, **options)
        if len(self.network.stages) > MOST_STAGES:
            raise UserError(
                f"MedMambaEncoder: FlexibleUNet takes {MOST_STAGES} stages at most, not {options['depths']!r}"
            )
        width = count_output_channels(self.network.stage_channels)[0]
        layers: dict[str, Any] = {"act": options.get("act", "relu"), "norm": options.get("norm", "batch")}
        self.half_size = Convolution(spatial_dims, in_channels, width, strides=2, **layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image, each half as large as the one before and the first half as large as ``x``.

        Args:
            x: (B, in_channels, H, W) or (B, in_channels, H, W, D), 32 pixels or more along each axis (four stages).

        Returns:
            A map (B, channels, S // 2), (B, channels, S // 4), ... for each number of channels that
            :func:`count_output_channels` tells.
        """
        if isinstance(x, MetaTensor):
            x = x.as_tensor()
        deep = self.network.stage_features(x)
        for axis in range(2, x.ndim):  # what the patches crop is cropped here, so that sizes halve exactly
            x = x.narrow(axis, 0, x.shape[axis] // 2 * 2)
        return [self.half_size(x), *deep]

    @classmethod
    def get_encoder_names(cls) -> list[str]:
        """Return the names under which ``FlexibleUNet`` knows the encoders."""
        return list(SIZES)

    @classmethod
    def get_encoder_parameters(cls) -> list[dict]:
        """Return the arguments of each encoder."""
        return [_arguments_of(size) for size in SIZES.values()]

    @classmethod
    def num_outputs(cls) -> list[int]:
        """Return the number of maps of each encoder."""
        return [len(channels) for channels in cls.num_channels_per_output()]

    @classmethod
    def num_channels_per_output(cls) -> list[tuple[int, ...]]:
        """Return the channels of each encoder's maps."""
        return [count_output_channels(size["channels"]) for size in SIZES.values()]


def count_output_channels(channels: Sequence[int]) -> tuple[int, ...]:
    """Return the channels of an encoder's maps, from the half size on, given those of the network's stages."""
    return (channels[0] // 2, *channels)


def register_encoder(name: str, depths: Sequence[int], channels: Sequence[int], **options: Any) -> None:
    """Make an encoder of your own size a backbone of ``FlexibleUNet``.

    Args:
        name: what is passed as ``backbone``.
        depths: blocks of each stage, at most four stages.
        channels: channels of each stage, even numbers.
        options: further options of :class:`~medmamba_monai.networks.MedMamba`.
    """
    outputs = count_output_channels(channels)
    FLEXUNET_BACKBONE.register_dict[name] = {
        "type": MedMambaEncoder,
        "feature_number": len(outputs),
        "feature_channel": outputs,
        "parameter": _arguments_of({"depths": tuple(depths), "channels": tuple(channels), **options}),
    }


def load_encoder_weights(network: nn.Module, source: str | PathLike[str] | Mapping[str, Any]) -> None:
    """Load the weights of a trained classifier into the encoder of a network; the classifier's head is dropped.

    Args:
        network: a ``FlexibleUNet`` with a MedMamba for its backbone, or a :class:`MedMambaEncoder`.
        source: a ``.pth``/``.pt`` or ``.safetensors`` file, or a state dict, of this package or of the official code.

    Raises:
        UserError: the network has no such encoder, the source cannot be read, or it holds a network of another size.
    """
    encoders = [module for module in network.modules() if isinstance(module, MedMambaEncoder)]
    if not encoders:
        raise UserError(f"{type(network).__name__} has no MedMambaEncoder: build it with backbone='medmamba_tiny'")
    classifier = read_classifier(source)
    classifier.reset_classifier(0)
    weights = classifier.state_dict()
    for encoder in encoders:
        own = encoder.network.state_dict()
        wrong = [key for key in own.keys() | weights.keys() if key not in own or key not in weights]
        wrong += [key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape]
        if wrong:
            raise UserError(
                f"the weights are of a MedMamba of another size than the encoder: {min(wrong)!r} is missing, extra or "
                f"of another shape in {len(wrong)} such cases; the file's stages have {classifier.stage_channels} "
                f"channels, the encoder's {encoder.network.stage_channels}"
            )
        encoder.network.load_state_dict(weights)


def _arguments_of(size: Mapping[str, Any]) -> dict[str, Any]:
    return {"spatial_dims": 2, "in_channels": 3, "pretrained": False, **size}
