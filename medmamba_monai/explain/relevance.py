"""Relevance of every pixel for a class, through the scan, in one forward and one backward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.biases import BiasAccount
from medmamba_monai.explain.frozen import freeze
from medmamba_monai.explain.pixels import spread_over_patches
from medmamba_monai.explain.rules import WeightedSumRule
from medmamba_monai.networks.medmamba import MedMamba

GAMMA = 0.1
"""Of `PositiveRelevance`: chosen by how often maps of generated validation images point at what decides."""


@dataclass(frozen=True)
class Relevance:
    """Relevance of every pixel for a class of each image, and what it is made of.

    The sum of ``total`` over an image's pixels and ``from_biases`` is its ``logit``, up to rounding.

    Attributes:
        total: ``(B, *spatial)``, signed: positive speaks for the class. The sum of the next three, over directions.
        convolution: ``(B, *spatial)``, what the convolution branch of a block took up first.
        directions: ``(B, K, *spatial)``, what each direction of a scan took up first, in the order of
            :func:`~medmamba_monai.selective_scan.scan_orders`.
        direct: ``(B, *spatial)``, what went past all blocks.
        from_biases: (B,), what biases and the shifts of norms behind the tokens carry, summed over them one by one.
        logit: (B,) of the class.
    """

    total: Tensor
    convolution: Tensor
    directions: Tensor
    direct: Tensor
    from_biases: Tensor
    logit: Tensor

    @property
    def scan(self) -> Tensor:
        """What the scan branch of a block took up first, ``(B, *spatial)``, the sum over its directions."""
        return self.directions.sum(1)


class ScanRelevance:
    """Relevance of every pixel for a class's logit, through the frozen scan of a MedMamba (:mod:`.frozen`).

    Args:
        network: a :class:`~medmamba_monai.networks.MedMamba` with classes, whose weights are read at each call.
        gamma: how much more contributions count that have the sign of their sum, see
            :class:`~medmamba_monai.explain.rules.WeightedSumRule`; 0 for the gradient times the input.

    Raises:
        UserError: the network is no MedMamba, has no classes, or has a layer without a rule.

    Example:
        >>> network = MedMamba(2, 1, 3, depths=(1, 1), channels=(8, 16)).eval()
        >>> ScanRelevance(network)(torch.rand(2, 1, 32, 32), 1).shape
        torch.Size([2, 32, 32])
    """

    def __init__(self, network: nn.Module, gamma: float = 0.0) -> None:
        if not isinstance(network, MedMamba):
            raise UserError(
                f"ScanRelevance explains a MedMamba, and {type(network).__name__} is none: choose another method"
            )
        if not network.num_classes:
            raise UserError("ScanRelevance: the network has num_classes=0, so there is no class to explain")
        self._spatial_dims, self._classes = network.spatial_dims, network.num_classes
        self._account = BiasAccount()
        self._frozen: Any = freeze(network, self._account)
        for rule in self._frozen.modules():
            if isinstance(rule, WeightedSumRule):
                rule.gamma = gamma

    def __call__(self, images: Tensor, class_index: int | Tensor) -> Tensor:
        """Compute the relevance of every pixel.

        Args:
            images: ``(B, channels, *spatial)``, float.
            class_index: the class to explain, or one for each image, int64 (B,).

        Returns:
            ``(B, *spatial)``, float32, signed: positive speaks for the class.

        Raises:
            UserError: a class does not exist, or the images do not fit the network.
        """
        return self._explain(images, class_index)[0][0].float()

    def speak_for(self, images: Tensor, class_index: int | Tensor) -> Tensor:
        """Compute what of every pixel speaks for the class, without what speaks against it.

        The channels of a token cancel in its relevance. Here only those above zero are added up, so the map does not
        conserve the logit, and is steadier. Args, result and errors are those of a call.
        """
        return self._explain(images, class_index, floor=0)[0][0].float()

    def explain(self, images: Tensor, class_index: int | Tensor) -> Relevance:
        """Compute the relevance of every pixel, split by branch and direction, and what the biases carry.

        Args and errors are those of a call.
        """
        streams = 2 * self._spatial_dims + 2
        maps, from_biases, logit = self._explain(images, class_index, streams)
        convolution, *directions, direct = maps
        return Relevance(maps.sum(0), convolution, torch.stack(directions, 1), direct, from_biases, logit)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def _explain(
        self, images: Tensor, class_index: int | Tensor, streams: int = 1, floor: float | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map of each stream ``(streams, B, *spatial)``, what biases carry and the logit, each (B,).

        With a floor no channel of a token counts for less.
        """
        images = (images.as_tensor() if isinstance(images, MetaTensor) else images).detach()
        chosen = choose_classes(class_index, len(images), self._classes).to(images.device)
        self._account.open(len(images))
        with torch.autocast(images.device.type, enabled=False):
            with torch.no_grad():
                tokens = self._frozen.embed(images)
            tokens = tokens.repeat(streams, *[1] * (tokens.ndim - 1)).requires_grad_()
            features = self._frozen.stages(tokens)[-len(images) :]
            logit = self._frozen.forward_head(features).gather(1, chosen[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(logit.sum(), tokens)
        relevance = gradient.mul_(tokens.detach())
        relevance = relevance if floor is None else relevance.clamp_(min=floor)
        maps = spread_over_patches(relevance, self._frozen.embedding.conv.layer, images.shape[2:])
        return maps.unflatten(0, [streams, -1]), self._account.close().to(logit.dtype), logit.detach()


class PositiveRelevance:
    """What of every pixel speaks for a class, see :meth:`ScanRelevance.speak_for`, with `GAMMA`.

    Args:
        network: what :class:`ScanRelevance` takes, else a UserError.
    """

    def __init__(self, network: nn.Module) -> None:
        self._relevance = ScanRelevance(network, GAMMA)

    def __call__(self, images: Tensor, class_index: int | Tensor) -> Tensor:
        """Compute the map of each image, ``(B, *spatial)``, not negative."""
        return self._relevance.speak_for(images, class_index)


def choose_classes(class_index: int | Tensor, batch: int, classes: int) -> Tensor:
    """Return the class of each image, int64 (B,).

    Raises:
        UserError: a class does not exist, or there is not one for each image.
    """
    chosen = torch.as_tensor(class_index)
    if chosen.dtype == torch.bool or chosen.is_floating_point() or chosen.numel() not in (1, batch) or chosen.ndim > 1:
        raise UserError(f"class_index={class_index!r} must be a whole number, or one for each of {batch} images")
    if bool(((chosen < 0) | (chosen >= classes)).any()):
        raise UserError(f"class_index={class_index!r}, but the classes are 0 to {classes - 1}")
    return chosen.long().expand(batch)
