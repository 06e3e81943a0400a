"""Images at the network's size, in the type that they came in.

The values are those of Pillow's bilinear ``resize``, with which the paper's images are scaled, but for the last bit.
MONAI's ``Resize`` smooths with a Gaussian before it samples; where it scales down it takes 10 to 60 times as long and
the values differ by up to a tenth of the range.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.transforms import Transform
from torch.nn import functional

from medmamba_monai.core.errors import UserError


class ResizeImage(Transform):
    """Scale an image or volume, each axis on its own, with a triangle filter that widens where it scales down.

    Args:
        spatial_size: rows and columns, or depth, rows and columns.
    """

    def __init__(self, spatial_size: Sequence[int]) -> None:
        self.spatial_size = tuple(int(size) for size in spatial_size)
        if len(self.spatial_size) not in (2, 3) or min(self.spatial_size) < 1:
            raise UserError(f"spatial_size: give 2 or 3 positive numbers, found {list(spatial_size)}")

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ResizeImage({self.spatial_size})"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Scale.

        Args:
            image: uint8 or float32 tensor of shape (channels, *spatial).

        Returns:
            Tensor of the same type and of shape (channels, *spatial_size), of uint8 rounded half to even; ``image``
            itself where it has that size.

        Raises:
            UserError: the image is of another type, or has another number of axes.
        """
        if image.dtype not in (torch.uint8, torch.float32) or image.ndim != len(self.spatial_size) + 1:
            raise UserError(
                f"an image of shape {tuple(image.shape)} and type {image.dtype} cannot be scaled to "
                f"{self.spatial_size}: it must be uint8 or float32 and have one axis more, for the channels"
            )
        if tuple(image.shape[1:]) == self.spatial_size:
            return image
        scaled = _scale(image.float(), self.spatial_size[-2:])
        if len(self.spatial_size) == 3:
            scaled = _scale(scaled.flatten(2), (self.spatial_size[0], scaled[0, 0].numel()))
        scaled = scaled.reshape(len(image), *self.spatial_size)
        return round_to_uint8(scaled) if image.dtype == torch.uint8 else scaled


def round_to_uint8(image: torch.Tensor) -> torch.Tensor:
    """Round half to even.

    Args:
        image: values from -0.5 to 255.5 of any real type; a tensor with metadata loses it.

    Returns:
        Plain uint8 tensor of the same shape.

    Raises:
        UserError: there are other values, NaN among them.
    """
    image = image.as_subclass(torch.Tensor)
    if image.dtype == torch.uint8 or image.numel() == 0:
        return image.to(torch.uint8)
    low, high = (float(value) for value in torch.aminmax(image))  # NaN if one is there
    if not (low >= -0.5 and high <= 255.5):
        raise UserError(f"values from {low:g} to {high:g} do not round to 0-255; scale them before they are rounded")
    return image.round().clamp_(0, 255).to(torch.uint8) if image.is_floating_point() else image.to(torch.uint8)


def _scale(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Scale the last two axes of a float tensor of four axes or, with the channels first, of three."""
    batch = image if image.ndim == 4 else image[None]
    scaled = functional.interpolate(batch, size=tuple(size), mode="bilinear", antialias=True)
    return scaled if image.ndim == 4 else scaled[0]
