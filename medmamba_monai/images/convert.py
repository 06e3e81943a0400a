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
        return self.repeat_channels(self.scale(image[None]))[0]

    def scale(self, images: torch.Tensor) -> torch.Tensor:
        """Return images ``(B, C, *spatial)`` on any device as float32 from -1 to 1, with their own channels.

        Raises:
            UserError: see `__call__`.
        """
        if images.dtype not in (torch.uint8, torch.float32) or self.channels % images.shape[1]:
            raise UserError(
                f"an image of shape {tuple(images.shape[1:])} and type {images.dtype} cannot be converted to "
                f"{self.channels} channels: it must be uint8 or float32, and its channels a divisor of that"
            )
        # By a tensor: a GPU multiplies by the rounded reciprocal of a Python number.
        top = torch.full((), 255.0, device=images.device)
        return images.to(torch.float32, copy=True).div_(top).mul_(2).sub_(1)

    def repeat_channels(self, images: torch.Tensor) -> torch.Tensor:
        """Return images ``(B, C, *spatial)`` with each channel repeated, as ``(B, channels, *spatial)``."""
        count = images.shape[1]
        return images.repeat_interleave(self.channels // count, 1) if count < self.channels else images
