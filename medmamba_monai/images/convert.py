"""From the values that are kept between epochs to the numbers that a network gets, in every epoch anew.

The numbers are those of MONAI's ``RepeatChannel``, ``ScaleIntensityRange`` and ``EnsureType``, bit by bit, but without
the metadata that these attach and remove, which take most of their time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from medmamba_monai.core.errors import UserError


class ConvertImage(Transform):
    """Convert an image to float32, its values 0 to 255 to -1 to 1.

    Args:
        channels: channels of the result; those of the image are repeated, each as often.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def __repr__(self) -> str:
        """The transform with all that decides what it returns."""
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


class ConvertImaged(MapTransform):
    """Dictionary version of :class:`ConvertImage`.

    Args:
        keys: entries that hold an image, replaced by the converted one.
        channels: see :class:`ConvertImage`.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, channels: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.convert = ConvertImage(channels)

    def __repr__(self) -> str:
        """The transform with all that decides what it returns."""
        return f"ConvertImaged({self.keys}, {self.convert}, {self.allow_missing_keys})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images converted."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.convert(item[key])
        return item
