"""From the tokens of an image to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TRANSPOSED: dict[int, Any] = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def spread_over_patches(relevance: Tensor, convolution: Any, spatial_shape: Sequence[int]) -> Tensor:
    """Share the relevance of each token out among the pixels of its patch.

    What channel m of a token holds goes to a pixel in proportion to the square of the weight that m gives it: the
    w^2 rule for inputs that may have any sign (Montavon et al., Pattern Recognition 65, 2017). A pixel's own value has
    no part in it, as the zero of an intensity scale means nothing.

    Args:
        relevance: (B, M, S) of tokens.
        convolution: without overlap, it made the tokens.
        spatial_shape: that of the images.

    Returns:
        ``(B, *spatial_shape)``, with the same sum; zero at a border that no patch covers.
    """
    shares = convolution.weight.detach().square().sum(1, keepdim=True)
    total = shares.flatten(1).sum(1).view(-1, *[1] * (shares.ndim - 1))
    shares = torch.where(total > 0, shares / total, 1 / shares[0].numel())
    pixels = TRANSPOSED[len(spatial_shape)](relevance, shares, stride=convolution.stride)[:, 0]
    missing = [size - covered for size, covered in zip(spatial_shape, pixels.shape[1:], strict=True)]
    return functional.pad(pixels, [side for after in reversed(missing) for side in (0, after)])
