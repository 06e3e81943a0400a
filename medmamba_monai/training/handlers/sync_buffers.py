"""BatchNorm statistics that are the same in all processes of a training."""

from __future__ import annotations

import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import nn


class SyncBuffers:
    """Give every process the buffers (BatchNorm statistics) of the first one at the end of each epoch.

    Each process counts its own statistics; without this, each would validate a slightly different network. Attach it
    to the trainer before `ValidationHandler`.

    Args:
        network: the network, wrapped or not.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Broadcast from the first process."""
        for buffer in self.network.buffers():
            dist.broadcast(buffer, src=0)
