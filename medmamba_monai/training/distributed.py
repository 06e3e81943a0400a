"""Processes of one training on several GPUs, as torchrun starts them."""

from __future__ import annotations

import os
from datetime import timedelta

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


def has_begun(resume: bool) -> bool:
    """Return whether a training goes on where it was: as asked for, or since torchrun has started it again.

    Args:
        resume: what was asked for.
    """
    return resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def start_distributed(timeout_minutes: float) -> None:
    """Join the processes that torchrun started: NCCL on GPUs, Gloo on the CPU.

    Args:
        timeout_minutes: how long a process waits for another one before it fails; one that has died is noticed at once
            by Gloo.

    Raises:
        UserError: not started by torchrun, more processes than GPUs, or restarts that would not find one another.
    """
    rank = read_local_rank()
    _check_restarts()
    if torch.cuda.is_available():
        if rank >= torch.cuda.device_count():
            raise UserError(f"local rank {rank} has no GPU: lower --nproc_per_node to {torch.cuda.device_count()}")
        torch.cuda.set_device(rank)
    patience = timedelta(minutes=timeout_minutes)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=patience)


def _check_restarts() -> None:
    """Refuse restarts that read from torchrun's own store, kept since the first start, where the dead ones listened.

    PyTorch's issue 135712 describes it.
    """
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if restarts != "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise UserError(
            f"torchrun --max-restarts={restarts}: processes that are started again would look for the dead ones; "
            "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of torchrun"
        )
