"""Weights from outside: official MedMamba checkpoints in and out, and what network a state dict belongs to."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.medmamba import MedMamba
from medmamba_monai.networks.state_dicts import compare_state_dicts, list_names, name_source, read_state_dict

logger = logging.getLogger(__name__)

# (official, ours): parts of a key, which the translation replaces in both directions.
RENAMED = (
    ("patch_embed.proj.", "embedding.conv."),
    ("patch_embed.norm.", "embedding.norm."),
    ("layers.", "stages."),
    (".downsample.", ".merging."),
    (".ln_1.", ".scan_norm."),
    (".self_attention.", ".ss2d."),
    (".ss2d.conv2d.", ".ss2d.conv."),
    (".dt_projs_weight", ".dt_weight"),
    (".dt_projs_bias", ".dt_bias"),
    (".A_logs", ".A_log"),
    (".Ds", ".D"),
    (".conv33conv33conv11.0.", ".conv_branch.norm1."),
    (".conv33conv33conv11.1.", ".conv_branch.conv1."),
    (".conv33conv33conv11.2.", ".conv_branch.norm2."),
    (".conv33conv33conv11.4.", ".conv_branch.conv2."),
    (".conv33conv33conv11.5.", ".conv_branch.norm3."),
    (".conv33conv33conv11.7.", ".conv_branch.conv3."),
)
OFFICIAL_START = RENAMED[0][0]
IN_PROJ, GATE_PROJ = ".in_proj.weight", ".gate_proj.weight"
BLOCK = re.compile(r"(?:layers|stages)\.(\d+)\.blocks\.(\d+)\.")
STARTS = ("embedding.conv.weight", f"{OFFICIAL_START}weight")
"""Keys that only one layer of a network has, the first: what stands before one of them is a wrapper's prefix."""


def load_official_checkpoint(
    source: str | PathLike[str] | Mapping[str, Any], num_classes: int | None = None
) -> MedMamba:
    """Build the network that an official MedMamba checkpoint holds, with its weights.

    Depths, channels, input channels, classes, patch size and state size are read from the keys and their shapes.

    Args:
        source: a ``.pth``/``.pt`` or ``.safetensors`` file, or a state dict, with the keys of the official code. A
            state dict inside one of :data:`~medmamba_monai.networks.state_dicts.WRAPPERS`, and keys with any common
            prefix (``module.``, ``_orig_mod.``, ``network.``), are understood.
        num_classes: number of logits wanted; None for that of the checkpoint, 0 if it has no head. With another number
            the head is drawn anew, and a log message says so.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        UserError: the file cannot be read as tensors alone, or its keys or shapes are not those of an official
            MedMamba; the message names them.
    """
    with name_source(source, "official MedMamba checkpoint"):
        return _build(read_state_dict(source, STARTS), num_classes)


def read_classifier(source: str | PathLike[str] | Mapping[str, Any]) -> MedMamba:
    """Build the network that a file of weights holds, of this package or of the official code.

    Args:
        source: as for :func:`load_official_checkpoint`, with official keys or those of :class:`MedMamba`.

    Returns:
        The network with the file's weights, in training mode, on the CPU.

    Raises:
        UserError: the file cannot be read as tensors alone, or its keys or shapes are not those of a MedMamba.
    """
    with name_source(source, "MedMamba weights"):
        state = read_state_dict(source, STARTS)
        if any(key.startswith(OFFICIAL_START) for key in state):
            return _build(state, None)
        net = MedMamba(**read_architecture(state))
        compare_state_dicts(state, net.state_dict())
        net.load_state_dict(state)
        return net


def read_foreign_weights(source: str | PathLike[str] | Mapping[str, Any]) -> tuple[dict[str, Tensor], bool]:
    """Read a state dict of any network, with official keys translated to those of :class:`MedMamba`.

    Args:
        source: as for :func:`load_official_checkpoint`, or of a network that is no MedMamba.

    Returns:
        The state dict on the CPU, and whether its keys were official ones.

    Raises:
        UserError: the file cannot be read as tensors alone, or has official keys and is no whole network.
    """
    with name_source(source, "weights"):
        state = read_state_dict(source, STARTS)
        official = any(key.startswith(OFFICIAL_START) for key in state)
        return (_build(state, None).state_dict() if official else state), official


def to_official_state_dict(net: MedMamba) -> dict[str, Tensor]:
    """Translate the weights of ``net`` to the keys, shapes and order of the official code."""
    official: dict[str, Tensor] = {}
    own = net.state_dict()
    for key, value in own.items():
        if key.endswith(IN_PROJ):
            value = torch.cat([value, own[key.replace(IN_PROJ, GATE_PROJ)]])
        elif key.endswith((".A_log", ".D")):
            value = value.flatten(0, 1)
        if not key.endswith(GATE_PROJ):
            official[_translate_to_official(key)] = value
    return official


def read_architecture(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the arguments of :class:`MedMamba` from the keys and shapes of its state dict.

    Args:
        state_dict: weights of a network of this package (its own key names, not the official ones).

    Returns:
        ``spatial_dims``, ``in_channels``, ``num_classes`` (0 without a head), ``depths``, ``channels``,
        ``patch_size`` and ``state_size``, so that ``MedMamba(**read_architecture(weights))`` fits the weights.

    Raises:
        UserError: the keys are not those of a MedMamba.
    """
    return _read_from_shapes(state_dict, str)


def _read_from_shapes(state: Mapping[str, Tensor], spell: Callable[[str], str]) -> dict[str, Any]:
    def shape(name: str, *ranks: int) -> torch.Size:
        found = state[spell(name)].shape if spell(name) in state else None
        if found is None or len(found) not in ranks:
            problem = "it is missing" if found is None else f"its shape is {tuple(found)}"
            raise UserError(f"the network is read from {spell(name)!r}, but {problem}; found {list_names(state)}")
        return found

    embedding = shape("embedding.conv.weight", 4, 5)
    depths: Counter[int] = Counter()
    for match in filter(None, map(BLOCK.match, state)):
        depths[int(match[1])] = max(depths[int(match[1])], int(match[2]) + 1)
    stages = range(max(depths, default=0) + 1)
    return {
        "spatial_dims": len(embedding) - 2,
        "in_channels": embedding[1],
        "num_classes": shape("head.weight", 2)[0] if any(key.startswith("head.") for key in state) else 0,
        "channels": tuple(2 * shape(f"stages.{stage}.blocks.0.scan_norm.weight", 1)[0] for stage in stages),
        "depths": tuple(depths[stage] for stage in stages),
        "patch_size": embedding[-1],
        "state_size": shape("stages.0.blocks.0.ss2d.A_log", 2, 3)[-1],
    }


def _build(state: dict[str, Tensor], num_classes: int | None) -> MedMamba:
    architecture = _read_from_shapes(state, _translate_to_official)
    found = architecture["num_classes"]
    net = MedMamba(**{**architecture, "num_classes": found if num_classes is None else num_classes})
    if num_classes not in (None, found):
        logger.info("The checkpoint has %d classes; the head for %d classes is drawn anew.", found, num_classes)
        state = {**state, **net.head.state_dict(prefix="head.")}
    compare_state_dicts(state, to_official_state_dict(net))
    _load(net, state)
    return net


def _load(net: MedMamba, state: Mapping[str, Tensor]) -> None:
    own = {_translate_to_own(key): value for key, value in state.items()}
    for key in [key for key in own if key.endswith(IN_PROJ)]:
        own[key], own[key.replace(IN_PROJ, GATE_PROJ)] = own[key].chunk(2)
    net.load_state_dict({key: own[key].view(value.shape) for key, value in net.state_dict().items()})


def _translate_to_own(key: str) -> str:
    for official, own in RENAMED:
        key = key.replace(official, own)
    return key


def _translate_to_official(key: str) -> str:
    for official, own in reversed(RENAMED):
        key = key.replace(own, official)
    return key
