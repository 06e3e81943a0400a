"""The device that a network runs on."""

from __future__ import annotations

import torch

from medmamba_monai.core.errors import UserError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to run on.

    Args:
        device: ``auto`` (the current CUDA device, else the CPU) or anything that `torch.device` reads. In a
            distributed run started by torchrun, ``auto`` and ``cuda`` are the GPU of the local rank.

    Raises:
        UserError: it names no device, or one that is not there.
    """
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:  # TypeError: it is no text, as True and lists are
        raise UserError(f"--device {device!r} is not a device; use auto, cpu, cuda or cuda:0") from error
    if resolved.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (resolved.index or 0) >= count:
            raise UserError(
                f"--device {device} was asked for, but torch {torch.__version__} sees "
                f"{count} CUDA devices here; use --device cpu, or install a CUDA build of torch"
            )
    return resolved
