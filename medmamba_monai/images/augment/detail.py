"""Random losses of detail, those of MONAI's transforms of similar purpose, for a batch of images at a time.

Own code for the reason of `medmamba_monai.images.augment.geometry`: MONAI's take one image at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.augment.step import RandomStep, read_range, send, spread

_REACH = 4.0
"""How far a Gaussian is followed, in standard deviations."""


class RandomBlurd(RandomStep):
    """Blur images with a Gaussian of random width; beyond the border stands what is on it.

    Args:
        prob: how likely an image is blurred.
        sigma: the smallest and the largest standard deviation, pixels, above 0.
        key: entry of the image.

    Raises:
        UserError: ``sigma`` is no such pair.
    """

    def __init__(self, prob: float = 0.1, sigma: Sequence[float] = (0.5, 1.0), key: str = "image") -> None:
        super().__init__(1, prob, key)
        self.ends = read_range("RandomBlurd: sigma", sigma)
        if self.ends[0] <= 0:
            raise UserError(f"RandomBlurd: sigma must be above 0, found {sigma!r}")

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        changed, numbers = self.draw(indices)
        rows = torch.from_numpy(np.flatnonzero(changed))
        blurred = images.clone()
        if len(rows):
            kernels = send(_make_kernels(spread(*self.ends, numbers[changed, 0])), images)
            blurred[rows] = _filter_each(images[rows], kernels)
        return blurred


class RandomErased(RandomStep):
    """Cover a random box of an image with the image's mean, as random erasing does (Zhong et al., AAAI 2020).

    Args:
        prob: how likely an image is changed.
        extent: the smallest and the largest part of each axis that the box takes, in (0, 1].
        key: entry of the image.

    Raises:
        UserError: ``extent`` is no such pair.
    """

    def __init__(self, prob: float = 0.1, extent: Sequence[float] = (0.1, 0.4), key: str = "image") -> None:
        super().__init__(6, prob, key)  # a length and a place for each of three axes at most
        self.ends = read_range("RandomErased: extent", extent)
        if not 0 < self.ends[0] <= self.ends[1] <= 1:
            raise UserError(f"RandomErased: extent must be in (0, 1], found {extent!r}")

    def apply(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Change a batch ``(B, C, *spatial)``; returns a new one."""
        changed, numbers = self.draw(indices)
        covered = send(changed, images).bool().view(-1, *[1] * (images.ndim - 1))
        for axis, size in enumerate(images.shape[2:]):
            length = np.maximum(np.round(spread(*self.ends, numbers[:, axis]) * size), 1)
            start = np.floor(numbers[:, 3 + axis] * (size - length + 1))
            places = np.arange(size)
            inside = (places >= start[:, None]) & (places < (start + length)[:, None])
            shape = [size if n == axis else 1 for n in range(images.ndim - 2)]
            covered = covered & send(inside, images).bool().view(-1, 1, *shape)
        return torch.where(covered, images.flatten(1).mean(1).view(-1, *[1] * (images.ndim - 1)), images)


def _make_kernels(sigmas: np.ndarray) -> np.ndarray:
    """Return one Gaussian a row (B, 2 R + 1), cut at `_REACH` standard deviations, with sum 1."""
    reach = np.floor(_REACH * sigmas + 0.5)
    places = np.arange(-int(reach.max()), int(reach.max()) + 1)
    values = np.exp(-0.5 * (places / sigmas[:, None]) ** 2) * (abs(places) <= reach[:, None])
    return np.asarray(values / values.sum(1, keepdims=True))


def _filter_each(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Filter each image along every spatial axis with a kernel of its own, a row of ``kernels`` (B, K)."""
    count, channels, *shape = images.shape
    dims, width = len(shape), kernels.shape[1]
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[dims - 1]
    weights = kernels.repeat_interleave(channels, 0)
    joined = images.reshape(1, count * channels, *shape)
    for axis in range(dims):
        extent = [width if n == axis else 1 for n in range(dims)]
        sides = [side for n in reversed(range(dims)) for side in [width // 2 if n == axis else 0] * 2]
        padded = functional.pad(joined, sides, mode="replicate")
        joined = convolve(padded, weights.view(-1, 1, *extent), groups=count * channels)
    return joined.view(count, channels, *shape)
