"""Gated attention over the tiles of a slide: one answer for all of them, and how much each had a say in it.

Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018, arXiv 1802.04712, equations 7
(the weighted mean) and 9 (the gated weights).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError

BAG_NETWORKS = {"attention_mil": "Attention MIL"}
"""Names of the networks that take the tiles of slides, with their titles for readers."""


class AttentionMIL(nn.Module):
    """A small network on features of tiles that stay as they are but for their scale, see `standardize`.

    Args:
        in_channels: numbers of each tile.
        num_classes: number of logits.
        hidden: width that the features are projected to.
        attention: width of the two branches of the attention.
        dropout: share of the projected features that training leaves out.

    Attributes:
        in_channels: numbers of each tile.

    Example:
        >>> bags = torch.ones(2, 1 + 8, 5)
        >>> bags[1, 0, 3:] = 0  # the second slide has three tiles
        >>> network = AttentionMIL(in_channels=8, num_classes=2).eval()
        >>> network(bags).shape, network.compute_attention(bags)[1].count_nonzero().item()
        (torch.Size([2, 2]), 3)
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, in_channels: int, num_classes: int, hidden: int = 128, attention: int = 64, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.register_buffer("mean", torch.zeros(in_channels))
        self.register_buffer("scale", torch.ones(in_channels))
        self.projection = nn.Sequential(nn.Linear(in_channels, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.value = nn.Linear(hidden, attention)
        self.gate = nn.Linear(hidden, attention)
        self.score = nn.Linear(attention, 1)
        self.head = nn.Linear(hidden, num_classes)

    def standardize(self, mean: Tensor, scale: Tensor) -> None:
        """Set what is taken from each feature, and what it is divided by then: both are part of the weights.

        Args:
            mean: (in_channels,).
            scale: (in_channels,), standard deviations; 0 of a feature that never differs counts as 1.
        """
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 0, scale, 1.0))

    def forward(self, bags: Tensor) -> Tensor:
        """Compute logits.

        Args:
            bags: (B, 1 + in_channels, N): the first channel is 1 for a tile and 0 for padding, the others its features.

        Returns:
            Logits (B, num_classes).

        Raises:
            UserError: the input is no such bag.
        """
        weights, tiles = self._weigh(bags)
        return self.head((weights[:, None] @ tiles)[:, 0])

    def compute_attention(self, bags: Tensor) -> Tensor:
        """Compute the weight of each tile (B, N): at least 0, of a slide they sum to 1, padding has 0."""
        return self._weigh(bags)[0]

    def _weigh(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights (B, N), and the projected features (B, N, hidden)."""
        if bags.ndim != 3 or bags.shape[1] != 1 + self.in_channels:
            raise UserError(
                f"this network takes bags of tiles (batch, 1 + {self.in_channels}, tiles), not the shape "
                f"{list(bags.shape)}; images are for other networks"
            )
        tiles = self.projection((bags[:, 1:].transpose(1, 2) - self.mean) / self.scale)
        scores = self.score(torch.tanh(self.value(tiles)) * torch.sigmoid(self.gate(tiles)))[..., 0]
        return scores.masked_fill(bags[:, 0] == 0, float("-inf")).softmax(dim=1), tiles


def build_bag_network(
    name: str, in_channels: int, num_classes: int, statistics: tuple[Tensor, Tensor] | None = None, **sizes: Any
) -> AttentionMIL:
    """Build a network of :data:`BAG_NETWORKS`; an option that it does not have is refused, not ignored.

    Args:
        name: which.
        in_channels: numbers of each tile.
        num_classes: number of logits.
        statistics: mean and standard deviation of each feature over the training part; None where weights are loaded,
            which hold them.
        sizes: options of networks of images, such as ``depths``; each must be None, and ``scan_backend`` auto.

    Raises:
        UserError: there is no such network, or an option is given.
    """
    if name not in BAG_NETWORKS:
        raise UserError(
            f"network {name!r}: takes images, and slides are given as features of their tiles; choose "
            f"{', '.join(BAG_NETWORKS)}. What makes the features is chosen where the slides are embedded"
        )
    for option, value in sizes.items():
        if value is not None and (option, value) != ("scan_backend", "auto"):
            raise UserError(f"network {name!r} has no {option}, but {option}={value!r} was given: leave it out")
    network = AttentionMIL(in_channels, num_classes)
    if statistics is not None:
        network.standardize(*statistics)
    return network
