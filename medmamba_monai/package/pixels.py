"""What the pixels of an image are like, whatever a network makes of them: features of blank images are not odd."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medmamba_monai.evaluation.scores import FloatArray

_PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


def measure_pixels(images: Tensor) -> FloatArray:
    """Return numbers on the pixels of each image (B, F).

    They are mean and standard deviation of each channel, percentiles over all, and the mean step between neighbors
    along each axis.

    Args:
        images: (B, C, *spatial), 0 to 255, on the CPU.
    """
    pixels = images.float()
    flat = pixels.flatten(2)
    steps = [pixels.diff(dim=axis).abs().flatten(1).mean(1, keepdim=True) for axis in range(2, pixels.ndim)]
    moments = torch.cat([flat.mean(2), flat.std(2, correction=0), *steps], dim=1).double().numpy()
    percentiles = np.percentile(pixels.flatten(1).numpy(), _PERCENTILES, axis=1).T
    return np.asarray(np.concatenate([moments, percentiles], axis=1), dtype=np.float64)
