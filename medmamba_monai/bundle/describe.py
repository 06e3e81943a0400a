"""Descriptions of what a user gives in Python, so that a training never goes on with another change.

The ``repr`` does not do: an address differs in the next process, and a loss leaves its options out.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LONGEST = 2000
"""Characters that are kept as they are: MLflow refuses a parameter of more than 6000."""


def describe_overrides(overrides: Mapping[str, Any]) -> str:
    """Return overrides as a text that is equal for equal ones in every process, and another for others.

    An object is told by its class and its attributes: those that its constructor takes by the same name, or all public
    ones where it keeps an argument under another name. A function is told by its name, its code and what it encloses.
    Parameters, which are trained, do not count.
    """
    text = json.dumps(_describe(dict(overrides), ()), sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... {hashlib.sha256(text.encode()).hexdigest()}"


def _describe(value: Any, above: tuple[int, ...]) -> Any:
    """Return a value as JSON holds it; ``above`` has the identities of what holds it, so that a circle ends."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if id(value) in above:
        return _name(type(value))
    describe = functools.partial(_describe, above=(*above, id(value)))
    if isinstance(value, Mapping):
        return {str(key): describe(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(describe(part), sort_keys=True) for part in value)
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return _describe_array(value)
    if isinstance(value, type):
        return _name(value)
    if isinstance(value, types.ModuleType):
        return value.__name__
    return {key: describe(part) for key, part in _take_apart(value).items()} or _describe_opaque(value)


def _take_apart(value: Any) -> dict[str, Any]:
    """Return what decides how a function or an object acts, by name; nothing for one that has no attributes."""
    if isinstance(value, functools.partial):
        return {"partial": value.func, "args": value.args, "keywords": value.keywords}
    if isinstance(value, types.MethodType):
        return {"method": value.__func__, "of": value.__self__}
    if isinstance(value, types.FunctionType):
        inside = inspect.getclosurevars(value).nonlocals
        defaults = [value.__defaults__, value.__kwdefaults__]
        return {"function": _name(value), "code": value.__code__, "defaults": defaults, "encloses": inside}
    if isinstance(value, types.CodeType):
        return {
            "code": hashlib.sha256(value.co_code).hexdigest(),
            "names": value.co_names,
            "constants": value.co_consts,
        }
    return {"class": _name(type(value)), **_list_attributes(value)} if hasattr(value, "__dict__") else {}


def _list_attributes(value: Any) -> dict[str, Any]:
    kept = dict(vars(value))
    public = {name: part for name, part in kept.items() if not name.startswith("_") and name != "training"}
    if isinstance(value, nn.Module):
        public |= value._modules
        kept |= {**public, **value._buffers}
    arguments = inspect.signature(type(value).__init__).parameters.values()
    names = [argument.name for argument in arguments][1:]
    found = {name: kept.get(name, kept.get(f"_{name}")) for name in names if name in kept or f"_{name}" in kept}
    return found if len(found) == len(names) else {**public, **found}


def _describe_array(value: Any) -> list[Any]:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]


def _describe_opaque(value: Any) -> str:
    text = repr(value)
    return _name(type(value)) if _ADDRESS.search(text) else text


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
