"""Deletion and insertion (Petsiuk et al. 2018, section 3.2): a class's probability as pixels go, or come, by a map.

A pixel that is not there has the value of the image blurred, so that no new edges come to be. Pixels of equal value go
in an order drawn once, the same for every map of that size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import integrate, ndimage
from torch import Tensor

from medmamba_monai.core.errors import UserError

STEPS = 16
"""In how many steps all pixels go."""
BLUR = 8
"""What part of an edge the standard deviation of the blur is, 1 by this."""

Predict = Callable[[Tensor], Tensor]
"""Images ``(B, C, *spatial)`` -> probabilities (B, classes)."""


@dataclass(frozen=True)
class Curves:
    """The probability of a class as an image is taken apart and put together.

    Attributes:
        deletion: (steps + 1,), from the image to the blurred one, the highest values of the map first.
        insertion: (steps + 1,), from the blurred image to the image, likewise.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> float:
        """The area below, 0 to 1: low where the map finds what the network decides by."""
        return compute_area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """The area below, 0 to 1: high where the map finds what the network decides by."""
        return compute_area(self.insertion)

    @property
    def score(self) -> float:
        """Insertion minus deletion, -1 to 1: about 0 for a map that says nothing."""
        return self.insertion_area - self.deletion_area


def compute_area(curve: np.ndarray) -> float:
    """Return the area below a curve from 0 to 1 by the trapezoid rule."""
    return float(integrate.trapezoid(curve) / (len(curve) - 1))


def compute_curves(predict: Predict, image: Tensor, relevance: np.ndarray, label: int, steps: int = STEPS) -> Curves:
    """Compute both curves of an image.

    Args:
        predict: see `Predict`.
        image: (C, *spatial), as the network takes it.
        relevance: (*spatial) map.
        label: of the class.
        steps: in how many all pixels go.

    Raises:
        UserError: the map is not of the image's size.
    """
    if tuple(relevance.shape) != tuple(image.shape[1:]):
        raise UserError(f"a map of {tuple(relevance.shape)} does not fit an image of {tuple(image.shape[1:])}")
    ranks = torch.from_numpy(rank_pixels(relevance)).to(image.device)
    blurred = blur_image(image)
    gone = torch.stack([ranks < round(step * ranks.numel() / steps) for step in range(steps + 1)])[:, None]
    with torch.no_grad():
        probabilities = predict(torch.cat([torch.where(gone, blurred, image), torch.where(gone, image, blurred)]))
    values = probabilities[:, label].double().cpu().numpy()
    return Curves(values[: steps + 1], values[steps + 1 :])


def rank_pixels(relevance: np.ndarray) -> np.ndarray:
    """Return the rank of each pixel, 0 for the highest value; ties in an order that is drawn."""
    flat = np.asarray(relevance, np.float64).ravel()
    order = np.lexsort((np.random.default_rng(0).permutation(len(flat)), -flat))
    ranks = np.empty(len(flat), np.int64)
    ranks[order] = np.arange(len(flat))
    return ranks.reshape(relevance.shape)


def blur_image(image: Tensor) -> Tensor:
    """Return an image (C, *spatial) blurred so far that no finding is left, at the borders as if they went on."""
    sigmas = [0.0, *(edge / BLUR for edge in image.shape[1:])]
    return torch.from_numpy(ndimage.gaussian_filter(image.float().cpu().numpy(), sigmas, mode="nearest")).to(image)
