"""The scan on a GPU: its time against the limit of the device, and its accuracy against float64."""

from __future__ import annotations

from typing import Any

from benchmarks import accuracy
from benchmarks.accuracy import Shape
from benchmarks.gpu.ceilings import Ceilings, scan_limit
from benchmarks.report import bar_table, milliseconds, text_table
from benchmarks.scan import ACCURACY_CHANNELS, scan_step, stage_shapes
from benchmarks.timing import interleave, time_entries
from medmamba_monai import medmamba_tiny

PER_TOKEN_LOOP = "reference"


def shapes_of(image_size: int, batch: int) -> list[Shape]:
    """Return the shapes of the scans of MedMamba-T."""
    return stage_shapes(medmamba_tiny(num_classes=2), image_size, batch)


def time_scans(
    device: str, image_size: int, batch: int, rounds: int, ceilings: Ceilings | None
) -> list[dict[str, Any]]:
    """Time every backend's scan at the shapes of MedMamba-T, and hold it against the limit of the device."""
    backends = [name for name in accuracy.backends_on(device) if name not in (PER_TOKEN_LOOP, "torch")] or ["torch"]
    found = []
    for number, shape in enumerate(shapes_of(image_size, batch), start=1):
        for training in (False, True):
            task = f"stage {number}, batch {batch}, {'forward+backward' if training else 'forward'}"
            steps = {name: scan_step(name, shape, training, device) for name in backends}
            times = interleave(steps, rounds, warmups=2, device=device, label=task)
            times.stop_if_interrupted()
            limit = scan_limit(shape, training, ceilings) if ceilings else None
            for entry in time_entries(times, task, backends[0]):
                reached = {"limit": limit, "of_limit": limit / entry["median"] if limit else None}
                found.append(entry | reached | {"updates": shape.updates})
    print(scan_table(found))
    return found


def scan_table(entries: list[dict[str, Any]]) -> str:
    """Write the times of the scans beside their limits."""
    rows = []
    for entry in entries:
        limit = "-" if entry["limit"] is None else milliseconds(entry["limit"])
        reached = "-" if entry["of_limit"] is None else f"{100 * entry['of_limit']:.0f} %"
        rows.append([f"{entry['task']}, {entry['name']}", milliseconds(entry["median"]), limit, reached])
    return text_table(["scan", "median", "limit", "of the limit"], rows)


def measure_accuracy(device: str, shapes: tuple[tuple[int, ...], ...] = accuracy.SHAPES) -> dict[str, Any]:
    """Compare every backend on the device with float64."""
    backends = [name for name in accuracy.backends_on(device) if name != PER_TOKEN_LOOP]
    entries = [
        entry
        for spatial in shapes
        for case in accuracy.CASES
        for entry in accuracy.errors_of(backends, accuracy.Shape(1, spatial, ACCURACY_CHANNELS), case, device)
    ]
    print(accuracy.accuracy_table(entries))
    special = [bar.entry() for backend in backends for bar in accuracy.special_values(backend, device)]
    print(f"\n{bar_table(special)}")
    return {"errors": entries, "special_values": special}
