"""The few lines that a bundle's multi-GPU overlay needs."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import nn

from medmamba_monai.core.errors import UserError


def local_device() -> torch.device:
    """The GPU of this process under torchrun, or the CPU where torch sees no GPU."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def local_rank() -> int:
    """Number of this process on its machine, which torchrun sets.

    Raises:
        UserError: the process was not started by torchrun.
    """
    try:
        return int(os.environ["LOCAL_RANK"])
    except KeyError as error:
        raise UserError(
            "multi_gpu_train.json needs torchrun: "
            "torchrun --standalone --nproc_per_node=N -m monai.bundle run training --config_file ..."
        ) from error


def start_distributed() -> None:
    """Join the processes that torchrun started: NCCL on GPUs, Gloo on the CPU.

    Raises:
        UserError: not started by torchrun, or more processes than GPUs.
    """
    rank = local_rank()
    if torch.cuda.is_available():
        if rank >= torch.cuda.device_count():
            raise UserError(f"local rank {rank} has no GPU: lower --nproc_per_node to {torch.cuda.device_count()}")
        torch.cuda.set_device(rank)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


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
