"""Test-time augmentation: one answer from several views of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from monai.inferers import Inferer, SimpleInferer
from monai.utils import convert_to_tensor

from medmamba_monai.core.errors import UserError

Activation = Literal["softmax", "sigmoid"]


class AverageViews(Inferer):
    """Average the probabilities of a classifier over views of its images, such as mirrored ones.

    MONAI's `TestTimeAugmentation` does not fit: it draws its views at random, and takes one image at a time.

    Args:
        views: transforms of an image ``(C, *spatial)`` that keep its size, such as MONAI's ``Flip`` and ``Rotate``.
            They are applied to whole batches, so they must treat all channels alike and draw nothing at random.
        activation: what makes probabilities of the network's logits.

    Raises:
        UserError: there is no view.
    """

    def __init__(self, views: Sequence[Callable[[torch.Tensor], Any]], activation: Activation) -> None:
        if not views:
            raise UserError("views: give at least one, such as monai.transforms.Identity")
        self.views = list(views)
        self.activation = activation

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Average.

        Args:
            inputs: images (B, C, *spatial).
            network: gives logits (B, classes).
            args: further arguments of the network.
            kwargs: further arguments of the network.

        Returns:
            Logits (B, classes) whose activation is the mean of the views' probabilities.
        """
        mean = torch.stack(
            [self._probabilities(network(apply_view(inputs, view), *args, **kwargs)) for view in self.views]
        ).mean(0)
        return (mean.log() if self.activation == "softmax" else mean.logit()).float()

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.double().softmax(1) if self.activation == "softmax" else logits.double().sigmoid()


def apply_view(images: torch.Tensor, view: Callable[[torch.Tensor], Any]) -> torch.Tensor:
    """Apply a transform of single images to a batch (B, C, *spatial), whose images become its channels meanwhile.

    Raises:
        UserError: the transform changes the size of the images.
    """
    seen: torch.Tensor = convert_to_tensor(view(images.flatten(0, 1)), track_meta=False)
    if seen.shape[1:] != images.shape[2:]:
        raise UserError(f"views: {view} makes images of {tuple(seen.shape[1:])} from {tuple(images.shape[2:])}")
    return seen.reshape(images.shape)


def choose_inferer(tta: bool, views: Sequence[Callable[[torch.Tensor], Any]], activation: Activation) -> Inferer:
    """Choose the inferer of an evaluation: with test-time augmentation, or MONAI's `SimpleInferer` without.

    Args:
        tta: whether to average over the views.
        views: see `AverageViews`.
        activation: see `AverageViews`.

    Raises:
        UserError: ``tta`` is neither True nor False, or there is no view.
    """
    if not isinstance(tta, bool):
        raise UserError(f"--tta {tta!r}: give True or False")
    return AverageViews(views, activation) if tta else SimpleInferer()
