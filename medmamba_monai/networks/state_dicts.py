"""State dicts from outside: read from files, taken out of their wrappers, held to what a network has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks.tensor_files import read_safetensors_file, read_torch_file

WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
COUNTER_OF_AVERAGES = "n_averaged"
LISTED = 8


@contextmanager
def name_source(source: Any, kind: str) -> Iterator[None]:
    """Say in user errors which file or state dict they are about."""
    try:
        yield
    except UserError as error:
        label = "state dict" if isinstance(source, Mapping) else Path(source)
        raise UserError(f"{kind} ({label}): {error}") from error


def read_state_dict(source: str | PathLike[str] | Mapping[str, Any], starts: Sequence[str]) -> dict[str, Tensor]:
    """Read a state dict, without what wrappers of a network put around it or before its keys.

    Args:
        source: a ``.pth``/``.pt`` or ``.safetensors`` file, or a state dict, perhaps inside one of :data:`WRAPPERS`.
        starts: keys that only one layer of a network has; what stands before one of them is a wrapper's prefix.

    Raises:
        UserError: the file cannot be read as tensors alone, or holds no state dict or more than one network.
    """
    return _strip_prefix(_unwrap(source if isinstance(source, Mapping) else _read_tensors(Path(source))), starts)


def compare_state_dicts(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise a UserError that names the keys in which a state dict differs from the expected one, or their shapes."""
    problems = {
        "missing": [key for key in expected if key not in state],
        "extra": [key for key in state if key not in expected],
        "of another shape": [k for k in expected if k in state and state[k].shape != expected[k].shape],
    }
    if any(problems.values()):
        raise UserError("; ".join(f"{problem}: {list_names(keys)}" for problem, keys in problems.items() if keys))


def list_names(keys: Iterable[str]) -> str:
    """Spell the first of many names, and how many more there are."""
    names = list(keys)
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _read_tensors(path: Path) -> Mapping[str, Any]:
    try:
        return read_safetensors_file(path)[0] if path.suffix == ".safetensors" else read_torch_file(path)
    except UserError as error:
        raise UserError(f"it cannot be read as tensors ({error})") from error


def _unwrap(content: Mapping[str, Any]) -> Mapping[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise UserError(f"it is no state dict, and has none under {' or '.join(map(repr, WRAPPERS))}")
    return content


def _strip_prefix(state: Mapping[str, Tensor], starts: Sequence[str]) -> dict[str, Tensor]:
    """Take away what wrappers of a network put before each of its keys, and the one key that they add."""
    prefixes = {key.removesuffix(start) for key in state for start in starts if key.endswith(start)}
    if len(prefixes) > 1:
        raise UserError(f"it holds more than one network, with keys after {', '.join(sorted(map(repr, prefixes)))}")
    prefix = "".join(prefixes)
    return {key.removeprefix(prefix): value for key, value in state.items() if key != COUNTER_OF_AVERAGES}
