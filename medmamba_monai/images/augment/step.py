"""What all random transforms of batches have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from monai.transforms.traits import RandomizableTrait

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.augment.draws import Draws

INDEX = "index_in_dataset"
"""Entry of an item, or of a batch, that holds the number of the image in its dataset."""


class RandomStep(Transform, RandomizableTrait, ABC):
    """A random transform that treats each image of a batch on its own, and all channels of an image alike.

    What happens to an image depends on the seed, see `reseed`, and its number in the dataset alone.

    Args:
        columns: random numbers that an image takes.
        prob: how likely an image is changed at all.
        key: entry of the image.

    Raises:
        UserError: ``prob`` is no probability.
    """

    def __init__(self, columns: int, prob: float, key: str) -> None:
        if isinstance(prob, bool) or not isinstance(prob, (int, float)) or not 0 <= prob <= 1:
            raise UserError(f"{type(self).__name__}: prob must be a number from 0 to 1, found {prob!r}")
        self.prob, self.key = float(prob), key
        self._draws = Draws(1 + columns)

    def reseed(self, seed: int, stream: int = 0) -> None:
        """Begin the random numbers anew, see `Draws.reseed`."""
        self._draws.reseed(seed, stream)

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw for some images: who is changed (B,), and the numbers that say how (B, columns)."""
        numbers = self._draws.take(indices)
        return numbers[:, 0] < self.prob, numbers[:, 1:]

    @abstractmethod
    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch.

        Args:
            images: float32 tensor ``(B, C, *spatial)`` on any device; it is not changed.
            indices: numbers of the images in their dataset (B,).
        """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of an item with its image changed, as it would be in a batch.

        Raises:
            UserError: the item does not tell its number.
        """
        if INDEX not in data:
            raise UserError(f"{type(self).__name__}: needs items with {INDEX!r}, as medmamba_monai.data gives them")
        image = torch.as_tensor(data[self.key], dtype=torch.float32).as_subclass(torch.Tensor)
        return {**data, self.key: self.apply(image[None], np.array([data[INDEX]]))[0]}


def send(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """Return float32 values on the device of a tensor; to a GPU they travel without waiting for it."""
    made = torch.from_numpy(values.astype(np.float32))
    return made.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else made.to(like.device)


def spread(low: float, high: float, uniform: np.ndarray) -> np.ndarray:
    """Return uniform numbers in [0, 1) as numbers in [low, high)."""
    return low + (high - low) * uniform


def read_range(name: str, value: Any, around: float = 0.0) -> tuple[float, float]:
    """Return a range that a user gave as a pair, or as the largest distance from ``around``.

    Raises:
        UserError: it is neither; names the option.
    """
    pair = value if isinstance(value, (list, tuple)) else (around - value, around + value) if _is_number(value) else ()
    if len(pair) != 2 or not all(_is_number(end) for end in pair):
        raise UserError(f"{name}: give a number or a pair of numbers, found {value!r}")
    return float(min(pair)), float(max(pair))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
