"""Measure the scan alone: ``python -m benchmarks.scan``.

The time of every backend that runs here, at the shapes of MedMamba-T's four stages and at one of a volume, for numba
beside the part of it that the exponentials alone would take; then the accuracy against float64. The exit code is 1 if a
bar of the accuracy is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks import accuracy
from benchmarks.accuracy import Shape, make_inputs
from benchmarks.cpu_ceilings import exponentials_per_second, scan_limit
from benchmarks.machine import default_threads, describe_machine
from benchmarks.report import add_common_options, bar_table, milliseconds, new_result, save_result, text_table
from benchmarks.timing import interleave, time_entries
from medmamba_monai import MedMamba, medmamba_tiny
from medmamba_monai.core.errors import ends_with_user_errors

VOLUME = Shape(1, (16, 16, 16), 96)
LONGEST_LOOP, LONGEST_CHUNKED = 196, 784
"""Tokens up to which the slow backends, ``reference`` and ``torch``, are timed."""
ACCURACY_CHANNELS = 96
"""As in MedMamba-T's first stage, whatever the length: few channels would let single numbers decide."""

COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "backend": lambda entry: entry["name"],
    "median": lambda entry: milliseconds(entry["median"]),
    "min": lambda entry: milliseconds(entry["minimum"]),
    "spread": lambda entry: f"{100 * entry['spread']:.1f} %",
    "million updates/s": lambda entry: f"{entry['updates_per_second'] / 1e6:,.0f}",
    "x fastest": lambda entry: f"{entry['ratio']['median']:.2f}",
    "exponentials alone": lambda entry: f"{100 * entry['of_limit']:.0f} %" if entry["of_limit"] else "-",
}
"""The columns of the table of times: title, and the text for an entry."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, 1 where a bar of the accuracy is missed, 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    return run(options)


def run(options: argparse.Namespace) -> int:
    """Run the benchmark with parsed options."""
    backends = options.backends or accuracy.backends_on("cpu")
    chosen = {key: getattr(options, key) for key in ("batch", "image_size", "rounds", "quick")}
    result = new_result("scan", chosen, describe_machine(threads=options.threads))
    result |= {"times": [], "accuracy": [], "special_values": [], "exponentials_per_second": None}
    try:
        if "numba" in backends:
            result["exponentials_per_second"] = exponentials_per_second(options.threads)
        for shape in _timed_shapes(options):
            for training in (False, True):
                time_shape(result, backends, shape, training, options.rounds)
        measure_accuracy(result, backends, accuracy.SHAPES[: 3 if options.quick else None])
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    if result["accuracy"]:
        print(f"\nRelative error against float64\n\n{accuracy.accuracy_table(result['accuracy'])}")
    if result["special_values"]:
        print(f"\n{bar_table(result['special_values'])}")
    save_result(result, options.json)
    return 1 if any(entry["met"] is False for entry in result["accuracy"] + result["special_values"]) else 0


def time_shape(result: dict[str, Any], backends: Sequence[str], shape: Shape, training: bool, rounds: int) -> None:
    """Time the backends at one shape, print the table and add the entries to the result."""
    limits = {"reference": LONGEST_LOOP, "torch": LONGEST_CHUNKED}
    names = [name for name in backends if shape.length <= limits.get(name, shape.length)]
    if not names:
        return
    steps = {name: scan_step(name, shape, training) for name in names}
    few = {"reference": min(rounds, 3), "torch": min(rounds, 5)}
    task = f"{'forward+backward' if training else 'forward'} {describe(shape)}"
    times = interleave(steps, rounds, fewer_rounds=few, label=task)
    if times.seconds:
        fastest = min(times.seconds, key=lambda name: times.summary(name).median)
        entries = time_entries(times, task, fastest)
        for entry in entries:
            limit = scan_limit(shape, training, rate) if (rate := result.get("exponentials_per_second")) else None
            of_limit = limit / entry["median"] if limit and entry["name"] == "numba" else None
            speed = shape.updates / entry["median"]
            entry |= {"updates": shape.updates, "updates_per_second": speed, "of_limit": of_limit}
        print(f"\n{task}, {shape.updates / 1e6:.1f} million updates\n\n{scan_table(entries)}", flush=True)
        result["times"] += entries
    times.stop_if_interrupted()


def scan_step(backend: str, shape: Shape, training: bool, device: str = "cpu") -> Callable[[], object]:
    """Return a function that scans, with training also differentiates."""
    inputs = make_inputs(shape, device=device)
    if not training:

        def forward() -> Tensor:
            with torch.inference_mode():
                return accuracy.scan(inputs, shape.spatial, backend)

        return forward
    weight = torch.randn_like(inputs[0])

    def forward_and_backward() -> object:
        return torch.autograd.grad(accuracy.scan(inputs, shape.spatial, backend), inputs, weight)

    return forward_and_backward


def measure_accuracy(
    result: dict[str, Any], backends: Sequence[str], spatial_shapes: Sequence[tuple[int, ...]]
) -> None:
    """Compare the backends with float64 and add the entries to the result; ``reference`` is one of those compared."""
    for spatial in spatial_shapes:
        for case in accuracy.CASES:
            result["accuracy"] += accuracy.errors_of(backends, Shape(1, spatial, ACCURACY_CHANNELS), case)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for backend in backends:
        result["special_values"] += [bar.entry() for bar in accuracy.special_values(backend)]


def stage_shapes(network: MedMamba, image_size: int, batch: int) -> list[Shape]:
    """Return the shape of the scans in each stage of a two-dimensional network."""
    parts: Any = network
    size = image_size // parts.embedding.conv.kernel_size[0]
    shapes = []
    for stage in parts.stages:
        scan = stage.blocks[0].ss2d
        _, channels, rank = scan.dt_weight.shape
        shapes.append(Shape(batch, (size, size), channels, scan.A_log.shape[2], rank))
        size //= 2
    return shapes


def scan_table(entries: Sequence[dict[str, Any]]) -> str:
    """Write entries with the columns of :data:`COLUMNS`."""
    return text_table(list(COLUMNS), [[write(entry) for write in COLUMNS.values()] for entry in entries])


def describe(shape: Shape) -> str:
    """Write a shape for a title."""
    sizes = "x".join(map(str, shape.spatial))
    return f"B {shape.batch}, {sizes}, C {shape.channels}, N {shape.state_size}, R {shape.rank}"


def _timed_shapes(options: argparse.Namespace) -> list[Shape]:
    shapes = stage_shapes(medmamba_tiny(num_classes=2), options.image_size, options.batch)
    return shapes[2:] if options.quick else [*shapes, VOLUME]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.scan", description=__doc__)
    parser.add_argument("--backends", nargs="+", metavar="NAME", help="default: all that run on the CPU here")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224, help="edge of the images whose stages are scanned")
    parser.add_argument("--rounds", type=int, help="samples of each (default 15, quick 2)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    return options


if __name__ == "__main__":
    sys.exit(main())
