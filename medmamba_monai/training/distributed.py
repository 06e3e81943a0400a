"""Processes of one training on several GPUs, as torchrun starts them."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

from medmamba_monai.core.errors import UserError


def find_local_device() -> torch.device:
    """Find the GPU of this process under torchrun, or the CPU where torch sees no GPU."""
    return torch.device("cuda", read_local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def read_local_rank() -> int:
    """Return the number of this process on its machine, which torchrun sets.

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
    rank = read_local_rank()
    if torch.cuda.is_available():
        if rank >= torch.cuda.device_count():
            raise UserError(f"local rank {rank} has no GPU: lower --nproc_per_node to {torch.cuda.device_count()}")
        torch.cuda.set_device(rank)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
