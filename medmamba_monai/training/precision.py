"""The precision that a network computes in: the option ``amp``, settled for a device."""

from __future__ import annotations

from typing import Any, Literal

import torch

from medmamba_monai.core.errors import UserError

Precision = Literal[False, "bfloat16", "float16"]
EXPECTED = "auto, bfloat16, float16, True (float16) or False"
_WORDS: dict[Any, Any] = {
    False: False,
    "false": False,
    True: "float16",  # what MONAI's engines make of amp=True
    "true": "float16",
    "auto": "auto",
    "bfloat16": "bfloat16",
    "float16": "float16",
}


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
    try:
        wanted = _WORDS[amp.lower() if isinstance(amp, str) else amp if isinstance(amp, bool) else None]
    except KeyError as error:
        raise UserError(f"--amp {amp!r}: give {EXPECTED}") from error
    if wanted == "auto":
        return "bfloat16" if has_bfloat16(device) else False
    if wanted == "float16" and device.type != "cuda":
        other = "False" if str(amp).lower() == "true" else "bfloat16 or --amp False"
        raise UserError(f"--amp {amp} needs a GPU, the device is {device}; use --amp {other}")
    if wanted == "bfloat16" and device.type == "cuda" and not has_bfloat16(device):
        raise UserError(f"--amp bfloat16: {device} has no units for it; use --amp float16 or --amp False")
    precision: Precision = wanted
    return precision


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device is a GPU that computes in bfloat16 itself, instead of emulating it."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
