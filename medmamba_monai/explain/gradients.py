"""Integrated gradients and SmoothGrad: what the gradient of a logit says of each pixel.

SmoothGrad is MONAI's. MONAI has no integrated gradients: they are a sum of four lines, written here and held against
closed forms, for which users need no further package.
"""

from __future__ import annotations

import zlib

import torch
from monai.visualize import SmoothGrad
from torch import Tensor, nn

from medmamba_monai.explain.on_copy import MethodOnCopy

STEPS = 32
"""Points of the path of integrated gradients."""
SAMPLES = 16
"""Noisy images of SmoothGrad."""
SPREAD = 0.15
"""Standard deviation of the noise of SmoothGrad, of the range of the image."""


class IntegratedGradients(MethodOnCopy):
    """The gradient along the way from a plain image to the image, times what differs (Sundararajan et al. 2017, eq. 1).

    The plain image has the mean value of each channel of the image. The integral is a Riemann sum at the middles of
    its steps; the channels are added. A map's sum comes to what the image adds to the logit of the plain one.

    Args:
        network: see `MethodOnCopy`.
        steps: of the way.
    """

    def __init__(self, network: nn.Module, steps: int = STEPS) -> None:
        super().__init__(network)
        self.steps = steps

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images for a class, see `MethodOnCopy`."""
        plain = images.mean(tuple(range(2, images.ndim)), keepdim=True)
        total = torch.zeros_like(images)
        for step in range(self.steps):
            between = torch.lerp(plain.expand_as(images), images, (step + 0.5) / self.steps).requires_grad_()
            total += torch.autograd.grad(self.network(between)[:, class_index].sum(), between)[0]
        return ((images - plain) * total / self.steps).sum(1)


class SmoothedGradients(MethodOnCopy):
    """The root mean square of the gradient over noisy copies of the image (Smilkov et al. 2017), over channels added.

    The noise is drawn from the image itself, so that the same image gives the same map.

    Args:
        network: see `MethodOnCopy`.
        samples: noisy copies.
    """

    def __init__(self, network: nn.Module, samples: int = SAMPLES) -> None:
        super().__init__(network)
        self.smooth = SmoothGrad(self.network, SPREAD, samples, magnitude=True, verbose=False)

    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps of images for a class, see `MethodOnCopy`."""
        return torch.stack([self._draw_one(image[None], class_index) for image in images])

    def _draw_one(self, image: Tensor, class_index: int) -> Tensor:
        devices = [image.device] if image.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed_of(image))
            return self.smooth(image, class_index)[0].sum(0)


def seed_of(image: Tensor) -> int:
    """Return a number that the values of an image decide, whatever the batch or the device that it is in."""
    return zlib.crc32(image.detach().float().cpu().contiguous().numpy().tobytes())
