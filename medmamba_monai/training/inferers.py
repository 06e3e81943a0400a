"""Inferers: networks run as an `Execution` says, and one answer from several views or scales of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import Inferer, SimpleInferer
from monai.utils import convert_to_tensor
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ResizeImage
from medmamba_monai.training.execution import Execution
from medmamba_monai.training.network_runner import NetworkRunner
from medmamba_monai.training.precision import check_volume_gradients

Activation = Literal["softmax", "sigmoid"]

OVERLAP = 0.25
"""Share of a window that the next one covers, too, at least; MONAI's `SlidingWindowInferer` has the same by default."""


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

        Raises:
            UserError: gradients are asked for that this CPU computes wrong, see `check_volume_gradients`.
        """
        output: torch.Tensor = self.inferer(inputs, self._find_runner(network), *args, **kwargs)
        return output

    def _find_runner(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        if not isinstance(network, nn.Module):
            return network
        key = network, torch.is_grad_enabled()
        if key not in self._runners:
            if torch.is_grad_enabled():
                check_volume_gradients(network, self.execution.precision, self.execution.device)
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
        return _average(
            [network(apply_view(inputs, view), *args, **kwargs) for view in self.views], self.activation
        ).float()


class AverageScales(Inferer):
    """Average the probabilities of a classifier over scales of its images, each cut into windows of the network's size.

    At scale 1 the one window is the whole image, at scale 2 windows show half of each axis with twice the detail. The
    windows of a scale count alike, and so do the scales.

    MONAI's `SlidingWindowInferer` and the mergers of its `PatchInferer` put maps together, and a classifier has none:
    of theirs only the places of the windows are used, by `dense_patch_slices`, which cover the image without padding.

    Args:
        scales: 1 or more each. The largest is the size that images are read at, see `find_read_size`.
        window: side of the images that the network is given.
        activation: what makes probabilities of the network's logits.
        inferer: judges the windows at one place in all images; by default MONAI's `SimpleInferer`.
        overlap: share of a window that the next one covers, too, at least.

    Raises:
        UserError: there is no scale, or one is below 1.
    """

    def __init__(
        self,
        scales: Sequence[float],
        window: int,
        activation: Activation,
        inferer: Inferer | None = None,
        overlap: float = OVERLAP,
    ) -> None:
        if not scales or min(scales) < 1:
            raise UserError(f"--scales {list(scales)}: give numbers from 1, such as [1,1.5]")
        self.sizes = [_scale_size(window, scale) for scale in scales]
        self.window = window
        self.activation = activation
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.step = max(1, int(window * (1 - overlap)))

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Average.

        Args:
            inputs: images (B, C, *spatial), each side of which is the window's times the largest scale.
            network: gives logits (B, classes) of windows (B, C, *window).
            args: further arguments of the network.
            kwargs: further arguments of the network.

        Returns:
            Logits (B, classes) whose activation is the mean of the scales' mean probabilities.

        Raises:
            UserError: the images have another size.
        """
        images: torch.Tensor = convert_to_tensor(inputs, track_meta=False)
        if set(images.shape[2:]) != {max(self.sizes)} or images.ndim not in (4, 5):
            raise UserError(
                f"--scales: need images of {max(self.sizes)} pixels along each axis, not {tuple(images.shape[2:])}; "
                "features of slides have no scales: leave the option out"
            )
        means = [
            _average([self.inferer(part, network, *args, **kwargs) for part in self.cut(images, size)], self.activation)
            for size in self.sizes
        ]
        return _average(means, self.activation).float()

    def cut(self, images: torch.Tensor, size: int) -> list[torch.Tensor]:
        """Return the windows ``(B, C, *window)`` of images ``(B, C, *spatial)`` that are scaled to a size."""
        sides = [size] * (images.ndim - 2)
        scaled = ResizeImage(sides)(images.flatten(0, 1)).reshape(*images.shape[:2], *sides)
        found = dense_patch_slices(sides, [self.window] * len(sides), [self.step] * len(sides))
        places: list[tuple[Any, ...]] = [(..., *place) for place in found]
        return [scaled[place] for place in places]


def find_read_size(image_size: int, spatial_dims: int, scales: Sequence[float]) -> list[int]:
    """Return the size that images are read at for all of the scales: the network's times the largest of them."""
    return [_scale_size(image_size, max(scales))] * spatial_dims


def _scale_size(size: int, scale: float) -> int:
    return round(size * scale)


def _average(logits: Sequence[torch.Tensor], activation: Activation) -> torch.Tensor:
    """Return float64 logits whose activation is the mean of the activations of others."""
    found = torch.stack([one.double() for one in logits])
    if activation == "softmax":
        return found.softmax(-1).mean(0).log()
    return found.sigmoid().mean(0).logit()


def apply_view(images: torch.Tensor, view: Callable[[torch.Tensor], Any]) -> torch.Tensor:
    """Apply a transform of single images to a batch (B, C, *spatial), whose images become its channels meanwhile.

    Raises:
        UserError: the transform changes the size of the images.
    """
    seen: torch.Tensor = convert_to_tensor(view(images.flatten(0, 1)), track_meta=False)
    if seen.shape[1:] != images.shape[2:]:
        raise UserError(f"views: {view} makes images of {tuple(seen.shape[1:])} from {tuple(images.shape[2:])}")
    return seen.reshape(images.shape)


def choose_inferer(
    tta: bool,
    views: Sequence[Callable[[torch.Tensor], Any]],
    activation: Activation,
    scales: Sequence[float] = (1,),
    window: int = 1,
) -> Inferer:
    """Choose the inferer of an evaluation: with test-time augmentation or scales, or MONAI's `SimpleInferer` without.

    Args:
        tta: whether to average over the views, of each window where there are scales.
        views: see `AverageViews`.
        activation: see `AverageViews`.
        scales: see `AverageScales`; the single scale 1 is the image as it is.
        window: see `AverageScales`.

    Raises:
        UserError: ``tta`` is neither True nor False, or there is no view or no scale.
    """
    if not isinstance(tta, bool):
        raise UserError(f"--tta {tta!r}: give True or False")
    inferer = AverageViews(views, activation) if tta else SimpleInferer()
    return inferer if list(scales) == [1] else AverageScales(scales, window, activation, inferer)
