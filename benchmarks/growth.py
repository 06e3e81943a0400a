"""Measure how time and memory grow with the image: ``python -m benchmarks.growth``.

Inference and training step at batch 1, from 112 to 1,792 pixels, for a network that is linear in the number of pixels
(MedMamba, in training also with activation checkpointing), one that is so by construction (ResNet-50) and one that is
not (ViT). The exponent is the slope of a line
through the logarithms: 1 is linear in the number of pixels, 2 is quadratic. What does not depend on the image, such as
weights, flattens small sizes, so the slope between the two largest sizes is given beside that of all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import memory
from benchmarks.growth_figure import draw_growth
from benchmarks.growth_tables import exponent_table, growth_table
from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import Job, available, build_step, load_libraries
from benchmarks.report import add_common_options, load_result, new_result, save_result
from benchmarks.timing import interleave, time_entries
from medmamba_monai.core.errors import UserError, ends_with_user_errors

NETWORKS = ("medmamba", "medmamba-checkpointed", "resnet50", "vit")
TRAINING_ONLY = ("medmamba-checkpointed",)
SIZES = (112, 224, 448, 896, 1792)
_SAME = ("options", "cpu", "cores", "instructions", "threads", "packages")
TASKS = {"inference": False, "training step": True}
SECONDS_A_TASK = 60.0
"""About how long the samples of one size, task and number of threads may take; large images get fewer rounds."""
FEWEST_ROUNDS = 3
SLOW_ROUND = 120.0
"""Seconds of a round of all networks from which on one more is enough: networks differ by more than such calls do."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write and draw; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    result = load_result(options.draw) if options.draw else run(options)
    print(f"\n{growth_table(result)}\n\n{exponent_table(result)}")
    if options.figure is not None:
        from medmamba_monai.evaluation.figures.style import save_figure

        for path in save_figure(draw_growth(result), options.figure):
            print(f"written: {path}")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark with parsed options and return its result."""
    chosen = {key: getattr(options, key) for key in ("sizes", "threads", "rounds", "networks", "quick")}
    result = new_result("growth", chosen, describe_machine(threads=max(options.threads)))
    result |= {"times": [], "memory": []}
    names = available(options.networks, min(options.sizes))
    kept = read_kept(options.keep, result) if options.keep else {}
    try:
        for size in sorted(options.sizes):
            if size in kept:
                for key, entries in kept[size].items():
                    result[key] += entries
                continue
            for task, training in TASKS.items():
                jobs = [Job(name, size, 1, training) for name in names if training or name not in TRAINING_ONLY]
                for threads in options.threads:
                    result["times"] += time_size(jobs, task, threads, options.rounds)
                for job in jobs:
                    result["memory"].append(memory_entry(job, task, max(options.threads)))
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    save_result(result, options.json)
    return result


def read_kept(path: Path, result: dict[str, Any]) -> dict[int, dict[str, list[dict[str, Any]]]]:
    """Return what an earlier run with the same options measured on the same kind of machine, by the size of the image.

    Raises:
        UserError: it had other options, or another kind of machine.
    """
    earlier = load_result(path)
    before, now = ({"options": one["options"], **one["machine"]} for one in (earlier, result))
    for key in _SAME:
        if before[key] != now[key]:
            raise UserError(f"--keep {path}: was measured with {key} {before[key]}, now it is {now[key]}; leave it out")
    sizes = {entry["image_size"] for entry in earlier["memory"]}
    return {
        size: {key: [entry for entry in earlier[key] if entry["image_size"] == size] for key in ("times", "memory")}
        for size in sizes
    }


def time_size(jobs: Sequence[Job], task: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Time the networks at one size in turns; large images get fewer rounds, and the slowest keep the trial as one."""
    torch.set_num_threads(threads)
    steps = {job.title: build_step(job) for job in jobs}
    size = jobs[0].image_size
    label = f"{task}, {size} pixels, {threads} threads"
    trial = interleave(steps, 1, label=label)
    trial.stop_if_interrupted()
    round_seconds = sum(seconds[0] for seconds in trial.seconds.values())
    slow = round_seconds > SLOW_ROUND
    wanted = 1 if slow else max(FEWEST_ROUNDS, int(SECONDS_A_TASK / round_seconds))
    times = interleave(steps, min(rounds, wanted), warmups=0, label=label)
    times.stop_if_interrupted()
    if slow:
        times.seconds = {name: trial.seconds[name] + seconds for name, seconds in times.seconds.items()}
    place = {"image_size": size, "threads": threads}
    return [entry | place for entry in time_entries(times, task, jobs[0].title)]


def memory_entry(job: Job, task: str, threads: int) -> dict[str, Any]:
    """Measure the peak memory of a job in a process of its own."""
    print(f"memory: {task}, {job.image_size} pixels, {job.title}", file=sys.stderr)
    peak = memory.peak_memory(partial(build_step, job), partial(load_libraries, job), threads)
    return {"task": task, "name": job.title, "image_size": job.image_size, "threads": threads, "bytes": peak}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=list(NETWORKS), help="default: %(default)s")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="PIXELS", help="default: 112 224 448 896 1792")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, default_threads()}))
    parser.add_argument("--rounds", type=int, help="samples of each at most (default 15, quick 2)")
    parser.add_argument("--figure", type=Path, metavar="STEM", help="where STEM.svg and STEM.png are drawn")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="take the sizes that are in the result of a run like this one",
    )
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing, show the result in FILE")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    options.sizes = options.sizes or ([64, 128] if options.quick else list(SIZES))
    return options


if __name__ == "__main__":
    sys.exit(main())
