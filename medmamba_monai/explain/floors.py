"""Maps that know nothing of the network: a method that is no better than these explains nothing."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medmamba_monai.explain.gradients import seed_of
from medmamba_monai.explain.on_copy import MethodOnCopy

EDGE_SIGMA = 1.0
"""Standard deviation of the smoothing before edges are sought, pixels."""


class RandomMap(MethodOnCopy):
    """Uniform noise, drawn from the image itself."""

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images, see `MethodOnCopy`."""
        maps = [np.random.default_rng(seed_of(image)).random(image.shape[1:], np.float32) for image in images]
        return torch.from_numpy(np.stack(maps)).to(images.device)


class EdgeMap(MethodOnCopy):
    """The length of the image's own gradient after smoothing, over channels added."""

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images, see `MethodOnCopy`."""
        axes = tuple(range(2, images.ndim))
        pixels = images.float().cpu().numpy()
        found = ndimage.gaussian_gradient_magnitude(pixels, [0, 0, *(EDGE_SIGMA for _ in axes)], mode="nearest")
        return torch.from_numpy(np.asarray(found).sum(1)).to(images.device)
