"""FedProx: a loss that holds the network of a site near the common one."""

from __future__ import annotations

import copy

import torch
from ignite.engine import Engine, Events
from nvflare.app_opt.pt.fedproxloss import PTFedProxLoss
from torch import nn


class ProximalLoss(nn.Module):
    """A loss with ``mu/2 ||w - w_common||^2`` added; ``w_common`` are the weights with which a round begins.

    That is the objective of a site in Li et al., Federated Optimization in Heterogeneous Networks (2020), equation 2.

    Args:
        loss: of the training.
        network: that is trained.
        mu: weight of the term.
    """

    def __init__(self, loss: nn.Module, network: nn.Module, mu: float) -> None:
        super().__init__()
        self.loss = loss
        self.term = PTFedProxLoss(mu)
        self._networks = [network, self._copy(network)]  # in a list, so that they are no part of this module

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, whose start is that of a round."""
        engine.add_event_handler(Events.STARTED, self.remember)

    def remember(self) -> None:
        """Take the weights as they are now for the common ones."""
        network, common = self._networks
        common.load_state_dict(network.state_dict())

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        network, common = self._networks
        value: torch.Tensor = self.loss(prediction, target) + self.term(network, common)
        return value

    @staticmethod
    def _copy(network: nn.Module) -> nn.Module:
        return copy.deepcopy(network).requires_grad_(False)
