"""What is exported: from images to the mean of the probabilities of one or more networks, as one module.

With preprocessing it takes images of any size as :meth:`~medmamba_monai.package.Package.read` takes them from a file,
0 to 255. They are scaled by one matrix an axis, the triangle filter of :mod:`~medmamba_monai.images.resize` written
down: no two runtimes share one resize with a widened filter, and none has one for volumes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Preprocess(nn.Module):
    """Scale images of 0 to 255 to the size and the numbers that a network takes.

    Args:
        spatial_size: of the result.
        repeats: how often each channel is repeated.
        rounded: whether scaled images are rounded to whole numbers, as those that were read as uint8 are.
    """

    def __init__(self, spatial_size: Sequence[int], repeats: int = 1, rounded: bool = True) -> None:
        super().__init__()
        self.spatial_size: list[int] = list(spatial_size)
        self.repeats, self.rounded = repeats, rounded

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, any spatial axes), 0 to 255, to (B, C * repeats, spatial_size), -1 to 1."""
        x = images.float()
        for axis, size in enumerate(self.spatial_size):
            weights = make_triangle_filter(x.shape[axis + 2], size)
            x = (x.movedim(axis + 2, -1) @ weights.t()).movedim(-1, axis + 2)
        if self.rounded:
            x = x.round().clamp(0, 255)
        x = x / 255 * 2 - 1
        return x.repeat_interleave(self.repeats, 1) if self.repeats > 1 else x


def make_triangle_filter(before: int, after: int) -> Tensor:
    """Return the matrix (after, before) that scales an axis as PyTorch does with ``antialias=True``.

    A sample is the weighted mean of what lies within one step of the coarser of the two grids.
    """
    scale = torch.full((), before, dtype=torch.float64) / after
    width = scale.clamp(min=1.0)
    centers = (torch.arange(after, dtype=torch.float64) + 0.5) * scale
    places = torch.arange(before, dtype=torch.float64) + 0.5
    weights = (1 - ((places - centers.unsqueeze(1)) / width).abs()).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()


class Classifier(nn.Module):
    """The mean of the probabilities of networks for the same images.

    Args:
        networks: one, or all folds of a package.
        activation: ``softmax`` or ``sigmoid``.
        preprocess: what comes before them, None for images that are ready.
    """

    def __init__(self, networks: Sequence[nn.Module], activation: str, preprocess: Preprocess | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.exclusive = activation == "softmax"
        self.preprocess: nn.Module = nn.Identity() if preprocess is None else preprocess

    def forward(self, images: Tensor) -> Tensor:
        """Map images to probabilities (B, classes), float32."""
        x = self.preprocess(images)
        total = torch.zeros(1, 1, device=x.device)
        for network in self.networks:
            logits = network(x).float()
            total = total + (logits.softmax(1) if self.exclusive else logits.sigmoid())
        return total / len(self.networks)


class InHalf(nn.Module):
    """A network that computes in float16, but for its scans and what goes in and comes out.

    Args:
        network: changed to float16.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 images to float32 logits."""
        return self.network(x.half()).float()
