"""The precision that a network computes in: the option ``amp``, settled for a device."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.core.errors import UserError

Precision = Literal[False, "bfloat16", "float16"]
EXPECTED = "auto, bfloat16, float16, True (float16) or False"
_LAYOUTS = torch.contiguous_format, torch.channels_last_3d
_MOST_DIFFERENCE = 0.1
"""Of gradients in bfloat16 from those in float32, relative: rounding makes 0.003, the fault 0.4 and more."""
_WORDS: dict[Any, Any] = {
    False: False,
    "false": False,
    True: "float16",  # what MONAI's engines make of amp=True
    "true": "float16",
    "auto": "auto",
    "bfloat16": "bfloat16",
    "float16": "float16",
}


def read_precision(amp: Any) -> Precision | Literal["auto"]:
    """Return the precision that is meant, for a device that is not known yet.

    Args:
        amp: as for `resolve_precision`.

    Raises:
        UserError: it is no precision.
    """
    try:
        meant: Precision | Literal["auto"]
        meant = _WORDS[amp.lower() if isinstance(amp, str) else amp if isinstance(amp, bool) else None]
    except KeyError as error:
        raise UserError(f"--amp {amp!r}: give {EXPECTED}") from error
    return meant


def resolve_precision(amp: Any, device: torch.device) -> Precision:
    """Settle the precision of autocast on a device; False is float32 throughout.

    Args:
        amp: ``auto`` is bfloat16 on a GPU that computes in it, else False. ``True`` is float16, as it is for MONAI's
            engines. Texts count in any case, since a command line knows no other.
        device: where the network computes.

    Raises:
        UserError: it is no precision, or the device cannot compute in it.

    Example:
        >>> resolve_precision("auto", torch.device("cpu"))
        False
    """
    wanted = read_precision(amp)
    if wanted == "auto":
        return "bfloat16" if has_bfloat16(device) else False
    if wanted == "float16" and device.type != "cuda":
        other = "False" if str(amp).lower() == "true" else "bfloat16 or --amp False"
        raise UserError(f"--amp {amp} needs a GPU, the device is {device}; use --amp {other}")
    if wanted == "bfloat16" and device.type == "cuda" and not has_bfloat16(device):
        raise UserError(f"--amp bfloat16: {device} has no units for it; use --amp float16 or --amp False")
    return wanted


def check_volume_gradients(network: nn.Module, precision: Precision, device: torch.device) -> None:
    """Refuse to train on volumes in bfloat16 on a CPU that computes wrong gradients.

    Args:
        network: what is to be trained.
        precision: that of autocast.
        device: where.

    Raises:
        UserError: the network has convolutions of volumes, and their gradients are wrong here.
    """
    if precision != "bfloat16" or device.type != "cpu":
        return
    if any(isinstance(module, nn.Conv3d) for module in network.modules()) and not has_right_volume_gradients():
        raise UserError(
            f"--amp bfloat16: PyTorch {torch.__version__} computes wrong gradients of convolutions of volumes on this "
            "CPU (oneDNN, weights of a Conv3d of two planes); use --amp False"
        )


@cache
def has_right_volume_gradients() -> bool:
    """Say whether the CPU computes gradients of the weights of a ``Conv3d`` in bfloat16, by computing two.

    oneDNN of PyTorch 2.13 reads memory that is not its own on CPUs with AVX-512 where a volume has twice as many planes
    as its padding, as those of MedMNIST have in a late stage: the gradients are noise, or not finite.
    """
    generator = torch.Generator().manual_seed(0)
    volumes = torch.randn(2, 16, 2, 4, 4, generator=generator)
    weight = 0.1 * torch.randn(16, 16, 3, 3, 3, generator=generator)
    return all(_has_right_gradient(volumes.contiguous(memory_format=layout), weight) for layout in _LAYOUTS)


def _has_right_gradient(volumes: Tensor, weight: Tensor) -> bool:
    wanted, found = (_compute_gradient(volumes, weight, dtype) for dtype in (torch.float32, torch.bfloat16))
    return bool((found - wanted).norm() < _MOST_DIFFERENCE * wanted.norm())


def _compute_gradient(volumes: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    trained = weight.to(dtype, copy=True).requires_grad_()
    with torch.enable_grad():
        output = functional.conv3d(volumes.to(dtype), trained, padding=1)
        return torch.autograd.grad(output, trained, output.detach())[0].float()


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device is a GPU that computes in bfloat16 itself, instead of emulating it."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
