"""Random changes of intensity, those of MONAI's transforms of similar names, for a batch of images at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.augment.step import RandomStep, read_range, send, spread


class _RandomValue(RandomStep):
    """A random number for each image, and ``unchanged`` for those that stay as they are."""

    unchanged: float
    ends: tuple[float, float]

    def _draw_values(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Return them as (B, 1, 1, ...) on the images' device."""
        changed, numbers = self.draw(indices)
        values = np.where(changed, spread(*self.ends, numbers[:, 0]), self.unchanged)
        return send(values, images).view(-1, *[1] * (images.ndim - 1))


class RandomAdjustContrastd(_RandomValue):
    """Raise intensities, of each image from its darkest to its brightest as 0 to 1, to a random power.

    Args:
        prob: how likely an image is changed.
        gamma: the smallest and the largest power, above 0.
        key: entry of the image.

    Raises:
        UserError: ``gamma`` is no such pair.
    """

    def __init__(self, prob: float = 0.1, gamma: Sequence[float] = (0.5, 4.5), key: str = "image") -> None:
        super().__init__(1, prob, key)
        self.unchanged, self.ends = 1.0, read_range("RandomAdjustContrastd: gamma", gamma, 1.0)
        if self.ends[0] <= 0:
            raise UserError(f"RandomAdjustContrastd: gamma must be above 0, found {gamma!r}")

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        gamma = self._draw_values(images, indices)
        low, high = images.flatten(1).amin(1).view_as(gamma), images.flatten(1).amax(1).view_as(gamma)
        extent = high - low
        powers = (images - low).div_(extent + 1e-7).log_().mul_(gamma).exp_()  # twice as fast as a power on a CPU
        return powers.mul_(extent).add_(low)


class RandomScaleIntensityd(_RandomValue):
    """Multiply intensities by 1 and a random number.

    Args:
        factors: the largest of them, or a pair.
        prob: how likely an image is changed.
        key: entry of the image.

    Raises:
        UserError: ``factors`` is no number and no pair.
    """

    def __init__(self, factors: float | Sequence[float], prob: float = 0.1, key: str = "image") -> None:
        super().__init__(1, prob, key)
        self.unchanged, self.ends = 0.0, read_range("RandomScaleIntensityd: factors", factors)

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        return images * (1 + self._draw_values(images, indices))


class RandomShiftIntensityd(_RandomValue):
    """Add a random number to intensities.

    Args:
        offsets: the largest of them, or a pair.
        prob: how likely an image is changed.
        key: entry of the image.

    Raises:
        UserError: ``offsets`` is no number and no pair.
    """

    def __init__(self, offsets: float | Sequence[float], prob: float = 0.1, key: str = "image") -> None:
        super().__init__(1, prob, key)
        self.unchanged, self.ends = 0.0, read_range("RandomShiftIntensityd: offsets", offsets)

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        return images + self._draw_values(images, indices)
