"""Conversion of what is kept between epochs to the numbers that a network gets, in every epoch anew.

The numbers are those of MONAI's ``RepeatChannel``, ``ScaleIntensityRange`` and ``EnsureType``, bit by bit, but without
the metadata that these attach and remove, which take most of their time.
"""

from __future__ import annotations

import torch
from monai.transforms import Transform

from medmamba_monai.core.errors import UserError


class ConvertImage(Transform):
    """Convert an image to float32, its values 0 to 255 to -1 to 1.

    Args:
        channels: channels of the result; those of the image are repeated, each as often.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ConvertImage({self.channels})"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Convert.

        Args:
            image: uint8 or float32 tensor of shape (C, *spatial) with values from 0 to 255; it is not changed.

        Returns:
            New float32 tensor of shape (channels, *spatial) with values from -1 to 1.

        Raises:
            UserError: the image is of another type, or the number of channels is no multiple of C.
        """
        if image.dtype not in (torch.uint8, torch.float32) or self.channels % len(image):
            raise UserError(
                f"an image of shape {tuple(image.shape)} and type {image.dtype} cannot be converted to "
                f"{self.channels} channels: it must be uint8 or float32, and its channels a divisor of that"
            )
        values = image.to(torch.float32, copy=True).div_(255).mul_(2).sub_(1)
        return values.repeat_interleave(self.channels // len(image), 0) if len(image) < self.channels else values
