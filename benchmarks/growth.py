"""Measure how time and memory grow with the image: ``python -m benchmarks.growth``.

Inference and training step at batch 1, from 112 to 896 pixels, for a network that is linear in the number of pixels
(MedMamba), one that is so by construction (ResNet-50) and one that is not (ViT). The exponent is the slope of a line
through the logarithms: 1 is linear in the number of pixels, 2 is quadratic. What does not depend on the image, such as
weights, flattens small sizes, so the slope between the two largest sizes is given beside that of all.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import memory
from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import Job, available, build_step, load_libraries
from benchmarks.report import (
    add_common_options,
    load_result,
    megabytes,
    milliseconds,
    new_result,
    save_result,
    text_table,
)
from benchmarks.timing import interleave, time_entries
from medmamba_monai.core.errors import ends_with_user_errors

NETWORKS = ("medmamba", "resnet50", "vit")
SIZES = (112, 224, 448, 896)
TASKS = {"inference": False, "training step": True}
SECONDS_A_TASK = 60.0
"""About how long the samples of one size, task and number of threads may take; large images get fewer rounds."""
FEWEST_ROUNDS = 3


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write and draw; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    result = load_result(options.draw) if options.draw else run(options)
    print(f"\n{growth_table(result)}\n\n{exponent_table(result)}")
    if options.figure is not None:
        from benchmarks.growth_figure import draw_growth
        from medmamba_monai.evaluation.figures.confusion import save_figure

        for path in save_figure(draw_growth(result), options.figure):
            print(f"written: {path}")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark with parsed options and return its result."""
    chosen = {key: getattr(options, key) for key in ("sizes", "threads", "rounds", "networks", "quick")}
    result = new_result("growth", chosen, describe_machine(threads=max(options.threads)))
    result |= {"times": [], "memory": []}
    names = available(options.networks, min(options.sizes))
    try:
        for size in sorted(options.sizes):
            for task, training in TASKS.items():
                jobs = [Job(name, size, 1, training) for name in names]
                for threads in options.threads:
                    result["times"] += time_size(jobs, task, threads, options.rounds)
                for job in jobs:
                    result["memory"].append(memory_entry(job, task, max(options.threads)))
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    save_result(result, options.json)
    return result


def time_size(jobs: Sequence[Job], task: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Time the networks at one size in turns; large images get fewer rounds."""
    torch.set_num_threads(threads)
    steps = {job.title: build_step(job) for job in jobs}
    size = jobs[0].image_size
    label = f"{task}, {size} pixels, {threads} threads"
    trial = interleave(steps, 1, label=label)
    trial.stop_if_interrupted()
    affordable = int(SECONDS_A_TASK / sum(seconds[0] for seconds in trial.seconds.values()))
    times = interleave(steps, min(rounds, max(FEWEST_ROUNDS, affordable)), warmups=0, label=label)
    times.stop_if_interrupted()
    place = {"image_size": size, "threads": threads}
    return [entry | place for entry in time_entries(times, task, jobs[0].title)]


def memory_entry(job: Job, task: str, threads: int) -> dict[str, Any]:
    """Measure the peak memory of a job in a process of its own."""
    print(f"memory: {task}, {job.image_size} pixels, {job.title}", file=sys.stderr)
    peak = memory.peak_memory(partial(build_step, job), partial(load_libraries, job), threads)
    return {"task": task, "name": job.title, "image_size": job.image_size, "threads": threads, "bytes": peak}


def series(entries: Sequence[dict[str, Any]], value: str) -> dict[tuple[str, str, int], dict[int, float]]:
    """Group entries by (name, task, threads) into image size -> value."""
    grouped: dict[tuple[str, str, int], dict[int, float]] = {}
    for entry in entries:
        grouped.setdefault((entry["name"], entry["task"], entry["threads"]), {})[entry["image_size"]] = entry[value]
    return grouped


def exponent(values: dict[int, float]) -> float | None:
    """Fit the exponent in the number of pixels; None for fewer than two sizes."""
    if len(values) < 2:
        return None
    pixels = [2 * math.log(size) for size in values]
    return float(np.polyfit(pixels, np.log(list(values.values())), deg=1)[0])


def growth_table(result: dict[str, Any]) -> str:
    """Write times, then peaks, a column for each size."""
    parts = []
    for title, key, value, write in (
        ("time", "times", "median", milliseconds),
        ("peak memory", "memory", "bytes", megabytes),
    ):
        lines = series(result[key], value)
        sizes = sorted({size for values in lines.values() for size in values})
        rows = [
            [f"{name}, {task}", str(threads), *(write(values[size]) if size in values else "-" for size in sizes)]
            for (name, task, threads), values in sorted(lines.items(), key=lambda line: (line[0][1:], line[0][0]))
        ]
        parts.append(text_table([f"{title}, batch 1", "threads", *(f"{size} px" for size in sizes)], rows))
    return "\n\n".join(parts)


def exponent_table(result: dict[str, Any]) -> str:
    """Write the exponents of time and memory: over all sizes, and between the two largest."""
    times, peaks = series(result["times"], "median"), series(result["memory"], "bytes")
    rows = []
    for (name, task, threads), values in sorted(times.items(), key=lambda line: (line[0][1:], line[0][0])):
        bytes_of = peaks.get((name, task, threads), {})
        fits = [values, largest_two(values), bytes_of, largest_two(bytes_of)]
        found = [exponent(fit) for fit in fits]
        texts = ["-" if number is None else f"{number:.2f}" for number in found]
        rows.append([f"{name}, {task}", str(threads), *texts])
    titles = ["exponent in the number of pixels", "threads", "time", "largest two", "memory", "largest two"]
    return text_table(titles, rows)


def largest_two(values: dict[int, float]) -> dict[int, float]:
    """Keep the two largest sizes."""
    return {size: values[size] for size in sorted(values)[-2:]}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=list(NETWORKS), help="default: %(default)s")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="PIXELS", help="default: 112 224 448 896")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, default_threads()}))
    parser.add_argument("--rounds", type=int, help="samples of each at most (default 15, quick 2)")
    parser.add_argument("--figure", type=Path, metavar="STEM", help="where STEM.svg and STEM.png are drawn")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing, show the result in FILE")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    options.sizes = options.sizes or ([64, 128] if options.quick else list(SIZES))
    return options


if __name__ == "__main__":
    sys.exit(main())
