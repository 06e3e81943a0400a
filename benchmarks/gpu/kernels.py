"""The Triton scan with other launch configurations: is there a faster one than what ``launch_config`` chooses?

The module of the backend chooses by its function ``launch_config``, which returns a ``LaunchConfig``, a NamedTuple.
Here that function, which the backend looks up at each call, is wrapped: what it returns is changed in one field, by a
factor of two up or down. A configuration that does not compile or gives other results is told, not timed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks.accuracy import Shape, make_inputs, relative_error, scan, scan_and_gradients
from benchmarks.report import milliseconds, text_table
from benchmarks.timing import interleave, time_entries
from medmamba_monai.core.errors import get_first_line

MODULE = "medmamba_monai.selective_scan.triton.launch"
UNCHANGED, FACTORS = "as chosen", (0.5, 2.0)
AGREEMENT = 1e-5
"""Relative difference up to which another configuration counts as giving the same results."""

Change = tuple[str, float]


def kernels_can_change() -> bool:
    """Whether the Triton backend is there."""
    return importlib.util.find_spec(MODULE) is not None


def sweep_kernels(
    shapes: Sequence[Shape], rounds: int, device: str, backend: str = "triton", module: ModuleType | None = None
) -> list[dict[str, Any]]:
    """Time forward and forward+backward at every shape with every changed configuration, beside the one chosen."""
    module = module or importlib.import_module(MODULE)
    found = []
    for shape in shapes:
        changes = changes_of(module, shape, device, backend)
        for training in (False, True):
            task = (
                f"{'forward+backward' if training else 'forward'} B {shape.batch}, L {shape.length}, C {shape.channels}"
            )
            found += _sweep(module, changes, shape, training, rounds, device, backend, task)
    print(launch_table(found))
    return found


def changes_of(module: Any, shape: Shape, device: str, backend: str) -> dict[str, Change | None]:
    """Name the changes that are possible: whole-number fields of the configurations that a scan asks for."""
    asked = []

    def remember(config: Any) -> Any:
        asked.append(config)
        return config

    with _wrapped(module, remember):
        scan_and_gradients(make_inputs(shape, device=device), shape.spatial, backend)
    fields = {name for config in asked for name, value in config._asdict().items() if type(value) is int and value > 0}
    possible = [(name, factor) for name in sorted(fields) for factor in FACTORS]
    different = [change for change in possible if any(changed(config, change) != config for config in asked)]
    return {UNCHANGED: None} | {f"{name} x {factor:g}": (name, factor) for name, factor in different}


def _sweep(
    module: Any,
    changes: dict[str, Change | None],
    shape: Shape,
    training: bool,
    rounds: int,
    device: str,
    backend: str,
    task: str,
) -> list[dict[str, Any]]:
    inputs = make_inputs(shape, device=device)

    def run(change: Change | None) -> list[Tensor]:
        with _wrapped(module, lambda config: changed(config, change)):
            if training:
                return scan_and_gradients(inputs, shape.spatial, backend)
            with torch.inference_mode():
                return [scan(inputs, shape.spatial, backend)]

    truth, steps, failed = run(None), {}, []
    for name, change in changes.items():
        try:
            errors = [relative_error(value, true) for value, true in zip(run(change), truth, strict=True)]
        except Exception as error:  # noqa: BLE001 - compilers of kernels raise errors of many kinds
            failed.append({"task": task, "name": name, "failed": get_first_line(error)})
            continue
        if max(errors) <= AGREEMENT:
            steps[name] = lambda change=change: run(change)
        else:
            failed.append({"task": task, "name": name, "failed": f"results differ by {max(errors):.1e}"})
    times = interleave(steps, rounds, warmups=2, device=device, label=task)
    times.stop_if_interrupted()
    return time_entries(times, task, UNCHANGED) + failed


def changed(config: Any, change: Change | None) -> Any:
    """Return a configuration with one field multiplied, at least 1; unchanged where it has no such field."""
    if change is None or change[0] not in config._fields:
        return config
    name, factor = change
    return config._replace(**{name: max(1, int(getattr(config, name) * factor))})


def launch_table(entries: Sequence[dict[str, Any]]) -> str:
    """Write the entries: time, and its ratio to the configuration that is chosen."""
    rows = []
    for entry in entries:
        figures = ["-", "-", entry["failed"][:60]] if "failed" in entry else _figures(entry)
        rows.append([f"{entry['task']}, {entry['name']}", *figures])
    return text_table(["launch configuration", "median", "x chosen", ""], rows)


def _figures(entry: dict[str, Any]) -> list[str]:
    return [milliseconds(entry["median"]), f"{entry['ratio']['median']:.3f}", ""]


@contextmanager
def _wrapped(module: Any, change: Any) -> Iterator[None]:
    """Pass what the module's ``launch_config`` returns through a function."""
    original = module.launch_config
    module.launch_config = lambda *arguments, **options: change(original(*arguments, **options))
    try:
        yield
    finally:
        module.launch_config = original
