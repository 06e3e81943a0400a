"""Networks that judge an image together: their mean probability, and the mean of their maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from medmamba_monai.explain import EXPLANATIONS, Method
from medmamba_monai.explain.randomization import randomize

BATCH = 16


class Members:
    """The networks of one or several folds.

    Args:
        networks: in evaluation mode.
        activate: logits (B, classes) -> probabilities.
    """

    def __init__(self, networks: Sequence[nn.Module], activate: Callable[[Tensor], Tensor]) -> None:
        self.networks = list(networks)
        self.activate = activate
        self._methods: dict[str, list[Method]] = {}

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return the mean probabilities (B, classes) of images ``(B, C, *spatial)``."""
        parts = images.split(BATCH)
        return torch.cat([torch.stack([self.activate(net(part)) for net in self.networks]).mean(0) for part in parts])

    def can_explain(self, method: str) -> bool:
        """Say whether a method of `EXPLANATIONS` takes all networks."""
        return all(EXPLANATIONS[method].can_explain(network) for network in self.networks)

    def draw(self, method: str, images: Tensor, label: int) -> np.ndarray:
        """Return the mean maps ``(B, *spatial)``, float32, of images ``(B, C, *spatial)`` for a class.

        Args:
            method: of `EXPLANATIONS`.
            images: as the networks take them.
            label: of the class.
        """
        if method not in self._methods:
            self._methods = {method: [EXPLANATIONS[method].make(network) for network in self.networks]}
        maps = [draw(images, label) for draw in self._methods[method]]
        return np.asarray(torch.stack(maps).mean(0).cpu().numpy())

    def randomize(self, share: float) -> Members:
        """Return members whose last parameters are shuffled, see `randomize`."""
        return Members([randomize(network, share) for network in self.networks], self.activate)
