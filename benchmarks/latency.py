"""Tell where the time of one image goes: ``python -m benchmarks.latency``.

MedMamba-T in inference mode at batch 1. PyTorch's profiler says how much of the time its operators take, by kind. What
Python, dispatch and threads cost whatever the size of the image is seen from the smallest image that the network takes,
where there is next to nothing to compute.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import Job, build_step
from benchmarks.report import add_common_options, milliseconds, new_result, save_result, text_table
from benchmarks.timing import interleave
from medmamba_monai.core.errors import ends_with_user_errors

NETWORK, SMALLEST = "medmamba", 32
KINDS = {
    "scan": ("directional_scan",),
    "convolutions": ("conv",),
    "linear layers": ("addmm", "::mm", "linear", "matmul", "bmm"),
    "norms": ("norm",),
    "activations, sums and copies": ("",),
}
"""Kinds of operators, and parts of their names; the first that fits counts."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    chosen = {key: getattr(options, key) for key in ("image_size", "rounds", "quick")}
    result = new_result("latency", chosen, describe_machine(threads=options.threads))
    sizes = dict.fromkeys((options.image_size, SMALLEST))
    steps = {f"{size} pixels": build_step(Job(NETWORK, size)) for size in sizes}
    times = interleave(steps, options.rounds, warmups=2, label="latency")
    times.stop_if_interrupted()
    result["seconds"] = {name: times.summary(name).median for name in steps}
    result["shares"] = measure_shares(steps[f"{options.image_size} pixels"], options.rounds)
    print(f"\n{latency_table(result)}")
    save_result(result, options.json)
    return 0


def measure_shares(step: Callable[[], object], rounds: int) -> dict[str, float]:
    """Return the part of the operators' own time that each of :data:`KINDS` takes in some calls of ``step``."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            step()
    taken: Counter[str] = Counter()
    for event in profiler.key_averages():
        taken[find_kind(event.key)] += event.self_cpu_time_total
    return {kind: taken[kind] / taken.total() for kind in KINDS}


def find_kind(operator: str) -> str:
    """Return the kind of an operator, of :data:`KINDS`."""
    return next(kind for kind, parts in KINDS.items() if any(part in operator for part in parts))


def latency_table(result: dict[str, Any]) -> str:
    """Write the times of a forward pass, and the shares of its operators."""
    times = [[f"batch 1, {name}", milliseconds(seconds)] for name, seconds in result["seconds"].items()]
    shares = [[kind, f"{100 * share:.0f} %"] for kind, share in result["shares"].items()]
    return f"{text_table(['forward', 'median'], times)}\n\n{text_table(['operators', 'part of their time'], shares)}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--image-size", type=int, help="edge in pixels (default 224, quick 64)")
    parser.add_argument("--rounds", type=int, help="forward passes (default 30, quick 2)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 30)
    options.image_size = options.image_size or (64 if options.quick else 224)
    return options


if __name__ == "__main__":
    sys.exit(main())
