"""Network weights on disk: safetensors beside MONAI's ``model.pt``, never a pickle of objects."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.networks import read_architecture
from medmamba_monai.networks.tensor_files import read_safetensors_file, read_torch_file, serialize_safetensors

_METADATA_KEY = "medmamba_monai"
_REMEDIES = {
    "class_names": "these weights are of another dataset; use its bundle, or other weights",
    "dataset": "use the bundle of that dataset, or other weights",
    "reading": "use the bundle that they were trained with",
    "fold_digest": "pass the --data_list that they were trained with, or use other weights",
}


def unwrap(network: nn.Module) -> nn.Module:
    """Return the network itself, also where it is wrapped for distributed training."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network


def save_weights(network: nn.Module, path: str | Path, description: dict[str, Any] | None = None) -> Path:
    """Write the weights twice: ``path`` (a state dict for MONAI) and the same name with ``.safetensors``.

    Args:
        network: what to save.
        path: file ending in ``.pt``.
        description: plain values (input size, class names, ...) kept in the safetensors header, so that whoever loads
            the weights can be told when they are fed something else.

    Returns:
        Path of the safetensors file.

    Raises:
        UserError: the folder cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in unwrap(network).state_dict().items()}
    return write_weights(state, path, description)


def write_weights(state: dict[str, torch.Tensor], path: str | Path, description: dict[str, Any] | None = None) -> Path:
    """Write a state dict as `save_weights` does.

    Args:
        state: tensors on the CPU, by name.
        path: file ending in ``.pt``.
        description: kept in the safetensors header.

    Returns:
        Path of the safetensors file.

    Raises:
        UserError: the folder cannot be written.
    """
    path = Path(path)
    safe_path = path.with_suffix(".safetensors")
    write_bytes(safe_path, serialize_safetensors(state, {_METADATA_KEY: json.dumps(description or {})}))
    write_torch(path, state)
    return safe_path


def write_torch(path: str | Path, content: dict[str, Any]) -> None:
    """Save with torch to memory, then to disk atomically: torch's own file writer hides why a write failed.

    Raises:
        UserError: the file cannot be written (a full disk, permissions).
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def read_description(path: str | Path) -> dict[str, Any]:
    """Return what `save_weights` was told about the weights; empty where no safetensors file stands beside ``path``.

    Raises:
        UserError: the safetensors file is damaged.
    """
    safe_path = Path(path).with_suffix(".safetensors")
    if not safe_path.is_file():
        return {}
    try:
        _, texts = read_safetensors_file(safe_path)
        return dict(json.loads(texts.get(_METADATA_KEY, "{}")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{safe_path} cannot be read as weights: {error}") from error


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a ``.pt`` or ``.safetensors`` state dict onto the CPU, never unpickling objects.

    Raises:
        UserError: there is no such file, or it is not a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weights at {path}: train first, or name the file with --ckpt_path")
    try:
        content = read_safetensors_file(path)[0] if path.suffix == ".safetensors" else read_torch_file(path)
    except UserError as error:
        raise UserError(f"{path} cannot be read as weights: {error}") from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path} cannot be read as weights: it holds no state dict, tensors by their names")
    return dict(content)


def load_weights(network: nn.Module, path: str | Path, expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Load weights into a network that they must fit exactly.

    Args:
        network: where they go.
        path: ``.pt`` or ``.safetensors`` file of `save_weights`.
        expected: values that must equal those kept with the weights, where both are known (``image_size``,
            ``class_names``): a network of the right shape fed images of another size answers, but wrongly.

    Returns:
        The description kept with the weights.

    Raises:
        UserError: the file is missing, or its network or its description differ from what is configured.
    """
    state = read_state_dict(path)
    description = read_description(path)
    if description.get("self_supervised"):
        raise UserError(
            f"{path}: holds self-supervised weights, which know no classes; train from it: --pretrained {path}"
        )
    for key, value in (expected or {}).items():
        if key in description and description[key] != value:
            remedy = _REMEDIES.get(key, f"pass --{key} {format_option(description[key])}")
            raise UserError(
                f"{path} was trained with {key} {description[key]!r}, but {value!r} is configured: {remedy}"
            )
    target = unwrap(network)
    own = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if own != found and description.get("records"):
        raise UserError(
            f"{path} was trained with clinical records beside images ({', '.join(description['records'])}), which this "
            "network is not given: use the weights in their bundle, with the recipe film"
        )
    if own != found:
        raise UserError(f"{path} does not fit the configured network. {_describe_difference(own, found, state)}")
    target.load_state_dict(state)
    return description


def format_option(value: Any) -> str:
    """Format a value as a shell takes it for an option of ``monai.bundle run``; lists and dicts need quotes."""
    return f'"{value}"' if isinstance(value, (list, tuple, dict)) else str(value)


def _describe_difference(own: dict[str, Any], found: dict[str, Any], state: dict[str, torch.Tensor]) -> str:
    try:
        architecture = read_architecture(state)
    except (UserError, KeyError):
        wrong = sorted(own.keys() ^ found.keys()) or [name for name in own if own[name] != found[name]]
        return f"First key that is missing, extra or of another shape: {wrong[0]}"
    options = " ".join(
        f"--{key} {format_option(architecture[key])}" for key in ("depths", "channels") if key in architecture
    )
    return f"The file holds a MedMamba with {architecture}; for the bundle's network pass {options}"
