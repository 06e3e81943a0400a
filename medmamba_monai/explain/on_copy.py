"""What the ways of explaining a network have in common that run it as it is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.relevance import choose_classes


class MethodOnCopy(ABC):
    """A way to draw maps of what speaks for a class.

    It works on a copy of the network in evaluation mode, whose parameters take no gradients: the network that was
    given keeps its mode, its hooks and its gradients, and later changes of its weights do not reach the maps.

    Args:
        network: images ``(B, C, *spatial)`` -> logits (B, num_classes).
    """

    @torch.inference_mode(False)  # under which a copy could never be differentiated
    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def __call__(self, images: Tensor, class_index: int | Tensor) -> Tensor:
        """Draw a map for each image.

        Args:
            images: float ``(B, C, *spatial)``, as the network takes them.
            class_index: of the class, one for all images or one for each (B,).

        Returns:
            float32 ``(B, *spatial)``; positive speaks for the class.

        Raises:
            UserError: a class does not exist, or a map has values that are not finite.
        """
        plain = (images.as_tensor() if isinstance(images, MetaTensor) else images).detach().clone()
        with torch.no_grad():
            num_classes = self.network(plain[:1]).shape[-1]
        classes = choose_classes(class_index, len(plain), num_classes).to(plain.device)
        maps = plain.new_zeros((len(plain), *plain.shape[2:]), dtype=torch.float32)
        for index in classes.unique().tolist():
            chosen = classes == index
            maps[chosen] = self.draw(plain[chosen], index).detach().float()
        if not maps.isfinite().all():
            raise UserError(f"{type(self).__name__}: a map has values that are not finite: the logits are too large")
        return maps

    @abstractmethod
    def draw(self, images: Tensor, class_index: int) -> Tensor:
        """Draw maps ``(B, *spatial)`` of images ``(B, C, *spatial)``, a copy of those given, for one class."""
