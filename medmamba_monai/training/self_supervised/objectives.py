"""What a MedMamba is asked of images without labels: covered parts of them, or which two views are of one image.

Both are written for MONAI's supervised engines, which take `Objective.prepare_batch` and `Objective.loss` and train the
objective as they would a classifier. What is learnt on top of the network serves the question alone and is thrown away.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.losses import ContrastiveLoss
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.augment.pipeline import BatchPipeline
from medmamba_monai.images.augment.step import RandomStep
from medmamba_monai.networks import MedMamba
from medmamba_monai.training.weights import unwrap

Method = Literal["contrastive", "masked"]
METHODS = ("contrastive", "masked")
Prepared = tuple[Tensor, Tensor, tuple[Tensor, ...], dict[str, Any]]
"""What MONAI's engines take of a batch: inputs, targets, and further arguments of the network."""


class Objective(nn.Module):
    """A network with the layers that answer a question on images without labels.

    What is drawn for a batch in training comes from torch's global generator, which `EpochSeeding` seeds, so that a
    training that goes on repeats itself; in validation it is the same in each epoch.

    Args:
        network: what is pretrained.
        layers: what answers the question, with the network's map or token as its input.
    """

    def __init__(self, network: MedMamba, layers: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.layers: Any = layers

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Group the parameters for an optimizer as the network does, those of the layers with its others."""
        decaying, constant = self.network.parameter_groups(weight_decay)
        for name, parameter in self.layers.named_parameters():
            (constant if parameter.ndim == 1 or name.startswith("token") else decaying)["params"].append(parameter)
        return [decaying, constant]

    def prepare_batch(self, batch: Mapping[str, Any], *_: Any, **__: Any) -> Prepared:
        """Make inputs and targets of the images of a batch, which are on the device already."""
        return self.draw(batch["image"], int(torch.randint(1 << 31, ()).item()))

    def prepare_validation(self, batch: Mapping[str, Any], *_: Any, **__: Any) -> Prepared:
        """Make inputs and targets as `prepare_batch` does, the same of the same images."""
        return self.draw(batch["image"], 0)

    def measure(self, output: Mapping[str, Tensor]) -> float:
        """Return the loss of an output of an evaluator."""
        return float(self.loss(output["pred"], output["label"]))

    @abstractmethod
    def draw(self, images: Tensor, seed: int) -> Prepared:
        """Ask a question of images ``(B, C, *spatial)``, drawn with a seed."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return how wrong the answer is, a scalar."""


class MaskedImages(Objective):
    """Cover parts of images and predict their pixels from the rest, as SimMIM does (Xie et al., CVPR 2022).

    Covered tokens give way to one learnt token, one linear layer predicts the pixels below the last map, and the mean
    absolute error is that of covered pixels. Each image has as many covered parts as any other.

    Args:
        network: what is pretrained.
        image_size: side of the images, pixels.
        mask_size: side of a covered part, pixels, a multiple of the network's ``patch_size``; None for the multiple
            nearest to an eighth of the image.
        mask_share: share of the parts that are covered, between 0 and 1.

    Raises:
        UserError: the parts do not fit the patches or the image, or the share covers none or all of them.
    """

    def __init__(
        self, network: MedMamba, image_size: int, mask_size: int | None = None, mask_share: float = 0.6
    ) -> None:
        patch, stride = network.stage_strides[0], network.stage_strides[-1]
        self.size = max(round(image_size / 8 / patch), 1) * patch if mask_size is None else mask_size
        self.grid = image_size // self.size
        self.covered = round(mask_share * self.grid**network.spatial_dims)
        _check_masks(self.size, self.grid, self.covered, patch, network.spatial_dims, image_size)
        pixels = network.in_channels * stride**network.spatial_dims
        predict = getattr(nn, f"Conv{network.spatial_dims}d")(network.num_features, pixels, 1)
        super().__init__(
            network, nn.ModuleDict({"predict": predict, "token": nn.Embedding(1, network.stage_channels[0])})
        )
        nn.init.zeros_(self.layers["token"].weight)

    def draw(self, images: Tensor, seed: int) -> Prepared:
        """Draw which parts ``(B, 1, *grid)`` are covered; the target is the images."""
        dims = images.ndim - 2
        generator = torch.Generator().manual_seed(seed)
        places = torch.rand(len(images), self.grid**dims, generator=generator).argsort(1)[:, : self.covered]
        covered = torch.zeros(len(images), self.grid**dims).scatter_(1, places, 1)
        return images, images, (covered.view(-1, 1, *[self.grid] * dims).to(images.device),), {}

    def forward(self, images: Tensor, covered: Tensor) -> Tensor:
        """Predict what is covered.

        Args:
            images: ``(B, C, *spatial)``.
            covered: 1 for each part that the network is not shown, else 0 ``(B, 1, *grid)``.

        Returns:
            The images with what is covered as it is predicted ``(B, C, *spatial)``.
        """
        tokens = self.network.embed(images)
        hidden = _spread(covered, self.size // self.network.stage_strides[0], tokens.shape[2:])
        token = self.layers["token"].weight.view(1, -1, *[1] * (tokens.ndim - 2)).to(tokens.dtype)
        found = self.layers["predict"](self.network.stages(torch.where(hidden > 0, token, tokens)))
        predicted = pixelshuffle(found, images.ndim - 2, self.network.stage_strides[-1]).to(images.dtype)
        hidden = _spread(covered, self.size, predicted.shape[2:])
        inside: tuple[Any, ...] = (..., *(slice(size) for size in predicted.shape[2:]))
        made = images.clone()
        made[inside] = torch.where(hidden > 0, predicted, images[inside])
        return made

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute error of the covered pixels; all others are right."""
        return (output - target).abs().mean() * (self.grid ** (target.ndim - 2) / self.covered)


class ContrastiveViews(Objective):
    """Find the two views of one image among those of a batch, as SimCLR does (Chen et al., ICML 2020).

    The loss is MONAI's, on what two linear layers make of the network's mean token.

    Args:
        network: what is pretrained.
        views: random transforms of batches that make a view of an image.
        temperature: of the loss, above 0.
        width: of what is compared.

    Raises:
        UserError: there is no transform, or the temperature is not above 0.
    """

    def __init__(
        self, network: MedMamba, views: Sequence[RandomStep], temperature: float = 0.2, width: int = 128
    ) -> None:
        if not views:
            raise UserError("views: give at least one random transform; two views that are alike teach nothing")
        if not temperature > 0:
            raise UserError(f"temperature: must be above 0, found {temperature!r}")
        hidden = network.num_features
        super().__init__(network, nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width)))
        self.steps = list(views)
        self.views = BatchPipeline(self.steps)
        self.contrast = ContrastiveLoss(temperature)

    def draw(self, images: Tensor, seed: int) -> Prepared:
        """Make two views of each image ``(2 B, C, *spatial)``; there is no target but they."""
        both = [self._view(images, 2 * seed + number) for number in (0, 1)]
        return torch.cat(both), images, (), {}

    def forward(self, views: Tensor) -> Tensor:
        """Map views ``(2 B, C, *spatial)`` to what is compared (2 B, width)."""
        found: Tensor = self.layers(self.network.forward_head(self.network.forward_features(views), pre_logits=True))
        return found

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return how badly the two views of an image are told from those of others."""
        loss: Tensor = self.contrast(*output.chunk(2))
        return loss

    def _view(self, images: Tensor, seed: int) -> Tensor:
        for stream, step in enumerate(self.steps):
            step.reseed(seed, stream)
        return self.views(images, np.arange(len(images)))


def make_objective(
    method: Method,
    network: nn.Module,
    image_size: int,
    views: Sequence[RandomStep],
    mask_size: int | None,
    mask_share: float,
) -> Objective:
    """Return the objective of a method, its layers drawn from torch's generator, on the device of the network.

    Args:
        method: one of `METHODS`.
        network: what is pretrained, wrapped or not.
        image_size: see `MaskedImages`.
        views: see `ContrastiveViews`.
        mask_size: see `MaskedImages`.
        mask_share: see `MaskedImages`.

    Raises:
        UserError: the network is no MedMamba, or an option does not fit.
    """
    inner = unwrap(network)
    if not isinstance(inner, MedMamba):
        raise UserError(f"pretrain is of a MedMamba, found {type(inner).__name__}; leave --network_name and film out")
    if method == "masked":
        objective: Objective = MaskedImages(inner, image_size, mask_size, mask_share)
    else:
        objective = ContrastiveViews(inner, views)
    return objective.to(inner.embedding.conv.weight.device)


def _check_masks(size: int, grid: int, covered: int, patch: int, dims: int, image_size: int) -> None:
    if size % patch or size < patch:
        raise UserError(f"--mask_size {size}: must be a multiple of the network's patches of {patch} pixels")
    if grid < 2:
        raise UserError(
            f"--mask_size {size}: an image of {image_size} pixels must hold two such parts along each side; use a "
            "smaller --mask_size or a larger --image_size"
        )
    if not 0 < covered < grid**dims:
        raise UserError(
            f"--mask_share: covers {covered} of {grid**dims} parts of an image; give a share that covers some of them "
            "and leaves some"
        )


def _spread(covered: Tensor, factor: int, shape: Sequence[int]) -> Tensor:
    """Return a mask of parts ``(B, 1, *grid)``, each ``factor`` long, as ``(B, 1, *shape)``; what none reaches is 0."""
    for axis, size in enumerate(shape, 2):
        covered = covered.repeat_interleave(factor, axis).narrow(axis, 0, min(size, covered.shape[axis] * factor))
    beyond = [side for size, made in zip(shape[::-1], covered.shape[:1:-1], strict=True) for side in (0, size - made)]
    return functional.pad(covered, beyond)
