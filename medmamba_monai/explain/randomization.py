"""Randomization from the head down (Adebayo et al. 2018): a map that stays as the weights go does not explain them."""

from __future__ import annotations

import copy

import numpy as np
import torch
from monai.metrics.regression import compute_ssim_and_cs
from scipy import stats
from torch import nn

SHARES = (0.0, 0.5, 1.0)
"""How much of the parameters' tensors are shuffled, from the head down, one network for each; the head always is."""
_HEAD = 2  # tensors: its weights and its biases
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5


def randomize(network: nn.Module, share: float, seed: int = 0) -> nn.Module:
    """Return a copy whose last parameters are shuffled: each tensor keeps its values and loses their places.

    Args:
        network: whose parameters stand in the order in which they are used, the head's last.
        share: of the parameters' tensors, 0 to 1; the last two, the head's, always are.
        seed: of the shuffling.
    """
    randomized = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    parameters = list(randomized.parameters())
    with torch.no_grad():
        for parameter in parameters[-max(_HEAD, round(share * len(parameters))) :]:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return randomized


def compare_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of the sizes of two maps' values; 0 where one is the same everywhere.

    Sizes, since a head whose classes are exchanged turns every sign round and would look like a change.
    """
    one, other = np.abs(first).ravel(), np.abs(second).ravel()
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(stats.spearmanr(one, other).statistic)


def compare_structure(first: np.ndarray, second: np.ndarray) -> float:
    """Return the structural similarity (SSIM, Wang et al. 2004) of the sizes of two maps, each from 0 to 1.

    The window is Gaussian as in that paper, smaller where the map is.
    """
    one, other = (torch.from_numpy(scale_to_one(np.abs(values)))[None, None] for values in (first, second))
    window = min(_SSIM_WINDOW, *first.shape)
    found, _ = compute_ssim_and_cs(
        one,
        other,
        spatial_dims=first.ndim,
        kernel_size=[window] * first.ndim,
        kernel_sigma=[_SSIM_SIGMA] * first.ndim,
        data_range=1.0,
    )
    return float(found.mean())


def scale_to_one(values: np.ndarray) -> np.ndarray:
    """Return values of at least 0 divided by their largest, float32; zeros as they are."""
    return np.asarray(values / (values.max() or 1.0), np.float32)
