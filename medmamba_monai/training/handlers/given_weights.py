"""Whether a trainer was given weights from outside before it started, as by a server of federated learning."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn


class GivenWeights:
    """Find out whether a network's weights were set between the making of its trainer and its first start.

    A client of federated learning copies the server's weights into the trainer's network and starts it. Those weights
    must stay, while a training that goes on by itself takes its own from a checkpoint. Attach it before all handlers
    that load weights, which then do not count.

    Args:
        network: the network that is trained, wrapped or not.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.found = False
        self._before: list[tuple[int, torch.Tensor]] | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, and remember the weights as they are now."""
        self._before = [(tensor._version, tensor.detach().clone()) for tensor in self._list_tensors()]
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Compare the weights with what they were; a later start of the same trainer does not count."""
        if self._before is None:
            self.found = False
            return
        pairs = zip(self._before, self._list_tensors(), strict=True)
        # Weights may be equal to what they replace; PyTorch counts how often a tensor was written.
        self.found = any(
            version != now._version or not torch.equal(before.to(now.device), now) for (version, before), now in pairs
        )
        self._before = None

    def _list_tensors(self) -> list[torch.Tensor]:
        return [*self.network.parameters(), *self.network.buffers()]
