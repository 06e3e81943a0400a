"""Official MedViT checkpoints."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medvit.network import SIZES, MedViT
from medmamba_monai.networks.state_dicts import compare_state_dicts, name_source, read_state_dict

logger = logging.getLogger(__name__)
HEAD = "proj_head.0."
FIRST = "stem.0.conv.weight"
BLOCK = re.compile(r"features\.(\d+)\.")


def load_official_medvit(source: str | PathLike[str] | Mapping[str, Any], num_classes: int | None = None) -> MedViT:
    """Build the network that an official MedViT checkpoint holds, with its weights.

    Size, input channels and classes are read from the keys and their shapes. Weights of this package's own trainings
    (keys after ``network.``) have the same keys and are taken too.

    Args:
        source: a ``.pth``/``.pt`` or ``.safetensors`` file, or a state dict; the official ones of ImageNet-1K have
            1000 classes and lie under ``model``.
        num_classes: number of logits wanted; None for that of the checkpoint. With another number the head is drawn
            anew, and a log message says so.

    Returns:
        The network in training mode, with the dtypes and on the device of the weights; files are read to the CPU.

    Raises:
        UserError: the file cannot be read as tensors alone, or its keys or shapes are not those of a MedViT; the
            message names them.
    """
    with name_source(source, "official MedViT checkpoint"):
        state = read_state_dict(source, (FIRST,))
        with torch.device("meta"):  # nothing is drawn that would be replaced
            network = MedViT(**_read_sizes(state))
        compare_state_dicts(state, network.state_dict())
        network.load_state_dict({key: value.clone() for key, value in state.items()}, assign=True)
    if num_classes is not None and num_classes != network.num_classes:
        logger.info("The checkpoint has %d classes; the head for %d is drawn anew.", network.num_classes, num_classes)
        network.reset_classifier(num_classes)
    return network


def _read_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = 1 + max((int(match[1]) for match in filter(None, map(BLOCK.match, state))), default=-1)
    size = next((size for size in SIZES.values() if sum(size.depths) == blocks), None)
    if size is None or state.get(FIRST) is None or state.get(f"{HEAD}weight") is None:
        known = ", ".join(str(sum(size.depths)) for size in SIZES.values())
        raise UserError(f"it has {blocks} blocks 'features.*', and a MedViT has {known}, a stem and a head {HEAD!r}")
    return {"in_channels": state[FIRST].shape[1], "num_classes": len(state[f"{HEAD}weight"]), **size._asdict()}
