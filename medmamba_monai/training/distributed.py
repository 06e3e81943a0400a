"""Processes of one training on several GPUs, as torchrun starts them."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

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


def has_begun(resume: bool) -> bool:
    """Return whether a training goes on where it was: as asked for, or since torchrun has started it again.

    All processes get the same answer. Where one of them fails, torchrun counts a restart on its machine; on another
    machine it counts none if it hears of the restart before a process there has failed, too. Call this after
    `start_distributed`.

    Args:
        resume: what was asked for.
    """
    begun = resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    return bool(_share_largest(int(begun))[0])


def check_same_epoch(epoch: int, directory: Path) -> None:
    """Refuse to go on where the processes of a training found checkpoints of different epochs, if there are several.

    Args:
        epoch: after which this process goes on.
        directory: where it looked for checkpoints.

    Raises:
        UserError: another process goes on after another epoch.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return
    last, negative = _share_largest(epoch, -epoch)
    first = -negative
    if last != first:
        raise UserError(
            f"{directory}: this process goes on after epoch {epoch}, another one after epoch "
            f"{last if last != epoch else first}; --output_dir must be a folder that all machines see at the same place"
        )


def _share_largest(*numbers: int) -> list[int]:
    """Return the largest of the numbers that all processes give, place by place."""
    shared = torch.tensor(numbers, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return [int(number) for number in shared]


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
