"""Encoders of transformers by name, for features of images; nothing is trained."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.networks.baselines import EXTRA
from medmamba_monai.networks.tensor_files import compute_checksum

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TransformersEncoder(nn.Module):
    """An image encoder of transformers that takes images as MedMamba does and returns a vector of each.

    Gray images are repeated in three channels, all are resized to the edge that the encoder was trained with, and
    normalized as its preprocessor says, as ImageNet where it says nothing. The vector is the mean of the last hidden
    state over tokens or places, which every encoder has.

    Args:
        model: the encoder.
        image_size: edge in pixels that it is given.
        mean: of each of three channels, on the scale 0 to 1.
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.image_size = image_size
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute a vector of each image.

        Args:
            x: (B, 1 or 3, H, W), from -1 to 1.

        Returns:
            (B, F).

        Raises:
            UserError: the images are volumes, or have other channels.
        """
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            kind = "volumes" if x.ndim == 5 else f"of the shape {tuple(x.shape)}"
            raise UserError(
                "--encoder: encoders of transformers take images of 1 or 3 channels, and these are "
                f"{kind}; use --pretrained"
            )
        images = (x.expand(-1, 3, -1, -1) + 1) / 2
        if images.shape[-1] != self.image_size or images.shape[-2] != self.image_size:
            size = [self.image_size] * 2
            images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        hidden = self.model(pixel_values=(images - self.mean) / self.std).last_hidden_state
        return hidden.mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(2)

    @property
    def identity(self) -> str:
        """Class and SHA-256 of the weights, without the name of a folder."""
        return f"{type(self.model).__name__} sha256:{compute_checksum(self.model.state_dict(), {})}"


def load_encoder(name: str) -> TransformersEncoder:
    """Load an encoder from a local folder or from the Hugging Face hub; its weights must be safetensors.

    Args:
        name: a folder that ``save_pretrained`` wrote, or a repository such as ``facebook/dinov2-small``.

    Returns:
        The encoder in evaluation mode, on the CPU.

    Raises:
        UserError: transformers is not installed, there is no such encoder or no connection, or it takes no images.
    """
    if find_spec("transformers") is None:
        raise UserError(f"--encoder {name}: needs transformers, which is missing: pip install '{EXTRA}'")
    from transformers import AutoModel

    try:
        with torch.random.fork_rng(devices=[]):
            model: Any = AutoModel.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise UserError(
            f"--encoder {name}: is no folder with an encoder in safetensors, and cannot be had from the Hugging Face "
            f"hub ({get_first_line(error)[:200]}); without a connection, give a folder that save_pretrained wrote"
        ) from error
    model = getattr(model, "vision_model", model)
    config = model.config
    if getattr(config, "num_channels", None) != 3:
        raise UserError(f"--encoder {name}: is no encoder of images with 3 channels ({type(model).__name__})")
    size = getattr(config, "image_size", None) or 224
    mean, std = _read_normalization(name)
    return TransformersEncoder(model, size if isinstance(size, int) else size[0], mean, std).eval()


def _read_normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a preprocessor; its other steps are ours, and its class is not needed."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        found = ImageProcessingMixin.get_image_processor_dict(name)[0]
    except OSError:
        found = {}
    return tuple(found.get("image_mean") or IMAGENET_MEAN), tuple(found.get("image_std") or IMAGENET_STD)
