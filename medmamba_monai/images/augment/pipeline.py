"""A chain of transforms on batches: converted once, sampled once, its channels repeated at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
import torch

from medmamba_monai.images.augment.geometry import RandomGeometry, sample
from medmamba_monai.images.augment.step import RandomStep
from medmamba_monai.images.transforms import ConvertImaged

BatchStep = ConvertImaged | RandomStep
_VALUES_AT_A_TIME = 1 << 20


def works_on_batches(part: object, key: str) -> TypeGuard[BatchStep]:
    """Return whether a transform of the entry ``key`` can be a part of a `BatchPipeline`."""
    return (type(part) is ConvertImaged and part.keys == (key,)) or (isinstance(part, RandomStep) and part.key == key)


class BatchPipeline:
    """Transforms of batches, one after the other.

    Flips and turns are one with the next `RandomAffined`: the images are sampled once for all of them. Since random
    transforms treat all channels alike, the channels of gray images are repeated after them.

    Args:
        steps: transforms of which `works_on_batches` is true.
    """

    def __init__(self, steps: Sequence[BatchStep]) -> None:
        self.steps = list(steps)

    def __call__(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        """Transform a batch.

        Args:
            images: tensor ``(B, C, *spatial)`` on any device; it is not changed.
            indices: numbers of the images in their dataset (B,).

        Returns:
            Plain float32 tensor on the same device; ``images`` itself where there are no steps.
        """
        if not self.steps:
            return images
        images = images.as_subclass(torch.Tensor)
        rows = _count_rows(images)
        if len(images) <= rows:
            return self._transform(images, indices)
        parts = zip(images.split(rows), np.split(indices, range(rows, len(images), rows)), strict=True)
        return torch.cat([self._transform(part, numbers) for part, numbers in parts])

    def _transform(self, images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        conversions = [step.convert for step in self.steps if isinstance(step, ConvertImaged)]
        for part in _join(self.steps):
            if isinstance(part, ConvertImaged):
                images = part.convert.scale(images)
            elif isinstance(part, RandomStep):
                images = part.apply(images.float(), indices)
            else:
                images = _sample_once(part, images.float(), indices)
        for conversion in conversions:
            images = conversion.repeat_channels(images)
        return images


def _count_rows(images: torch.Tensor) -> int:
    """Return how many images to transform at a time: on a CPU so few that they stay in its caches."""
    if images.device.type != "cpu" or not images.numel():
        return len(images)
    return max(torch.get_num_threads(), _VALUES_AT_A_TIME // images[0].numel(), 1)


def _join(steps: Sequence[BatchStep]) -> Iterator[BatchStep | list[RandomGeometry]]:
    """Yield the steps, those of geometry as lists that end with what looks beyond the border."""
    open_steps: list[RandomGeometry] = []
    for step in steps:
        if isinstance(step, RandomGeometry):
            open_steps.append(step)
        if open_steps and (not isinstance(step, RandomGeometry) or step.padding_mode):
            yield open_steps
            open_steps = []
        if not isinstance(step, RandomGeometry):
            yield step
    if open_steps:
        yield open_steps


def _sample_once(steps: Sequence[RandomGeometry], images: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
    shape = images.shape[2:]
    matrices = steps[0].make_matrices(indices, shape)
    for step in steps[1:]:
        matrices = matrices @ step.make_matrices(indices, shape)
    return sample(images, matrices, steps[-1].padding_mode or "border")
