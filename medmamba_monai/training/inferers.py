"""Inferers: networks run as an `Execution` says, and one answer from several views of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from monai.inferers import Inferer, SimpleInferer
from monai.utils import convert_to_tensor
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.execution import Execution
from medmamba_monai.training.network_runner import NetworkRunner

Activation = Literal["softmax", "sigmoid"]


class NetworkInferer(Inferer):
    """Run networks in a chosen precision, in inference mode where no gradient is asked for, and as fast as chosen.

    MONAI's engines know autocast on CUDA alone and always scale the loss with it, and they know no CUDA graphs.

    Args:
        execution: how the networks compute; by default in float32, as they are.
        inferer: what calls them, by default MONAI's `SimpleInferer`.
    """

    def __init__(self, execution: Execution | None = None, inferer: Inferer | None = None) -> None:
        self.execution = Execution() if execution is None else execution
        self.inferer = SimpleInferer() if inferer is None else inferer
        self._runners: dict[tuple[nn.Module, bool], NetworkRunner] = {}

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Infer.

        Args:
            inputs: images (B, C, *spatial).
            network: gives logits (B, classes).
            args: further arguments of the network.
            kwargs: further arguments of the network.

        Returns:
            What the inferer makes of the network's outputs, which are in float32.
        """
        output: torch.Tensor = self.inferer(inputs, self._find_runner(network), *args, **kwargs)
        return output

    def _find_runner(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        if not isinstance(network, nn.Module):
            return network
        key = network, torch.is_grad_enabled()
        if key not in self._runners:
            self._runners[key] = NetworkRunner(network, self.execution)
        return self._runners[key]


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
