"""Measure whole networks: ``python -m benchmarks.model``.

Forward pass and training step of MedMamba-T beside ResNet-50, Swin-T and ViT-S/16, all in the same rounds; peak memory
in fresh processes; bfloat16 autocast; then the promises, met or not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks import memory
from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import TITLES, Job, available, build_step, load_libraries
from benchmarks.report import (
    Bar,
    add_common_options,
    bar_table,
    megabytes,
    new_result,
    save_result,
    text_table,
    time_table,
)
from benchmarks.timing import Times, interleave, time_entries
from medmamba_monai.core.errors import ends_with_user_errors

FORWARD_1, FORWARD_8, TRAINING_8 = "forward, batch 1", "forward, batch 8", "training step, batch 8"
RECORDING_1 = "forward recording gradients, batch 1"
TASKS = {FORWARD_1: (1, False), RECORDING_1: (1, False), FORWARD_8: (8, False), TRAINING_8: (8, True)}
"""Batch and whether it trains. The loop is much slower where it records gradients, so it is timed both ways."""
BASELINE, LOOP_RUNS = "ResNet-50", 3
OWN, SWIN, LOOP = TITLES["medmamba"], TITLES["swin"], TITLES["medmamba-loop"]
IN_BFLOAT16 = ("medmamba", "resnet50")
PROMISED = {"image_size": 224, "threads": 2}


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    run(options)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark with parsed options and return its result."""
    chosen = {key: getattr(options, key) for key in ("image_size", "rounds", "networks", "quick")}
    result = new_result("model", chosen, describe_machine(threads=options.threads))
    names = available(options.networks, options.image_size)
    result |= {"times": [], "memory": [], "bars": []}
    times: dict[str, Times] = {}
    try:
        for task, (batch, training) in TASKS.items():
            jobs = jobs_of(names, options.image_size, batch, training, task == RECORDING_1)
            times[task] = time_jobs(jobs, options.rounds, task)
            entries = time_entries(times[task], task, BASELINE)
            print(f"\n{time_table(entries)}", flush=True)
            result["times"] += entries
            times[task].stop_if_interrupted()
        measure_memory(result, names, options)
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    if result["memory"]:
        print(f"\n{memory_table(result['memory'])}")
    as_promised = {"image_size": options.image_size, "threads": options.threads} == PROMISED and not options.quick
    result["bars"] = [bar.entry() for bar in bars_of(times, result["memory"], as_promised)]
    print(f"\n{bar_table(result['bars'])}")
    save_result(result, options.json)
    return result


def jobs_of(names: Sequence[str], image_size: int, batch: int, training: bool, recording: bool = False) -> list[Job]:
    """Choose what takes part in a task: the loop at batch 1 only, folded batch norms in inference only."""
    jobs = []
    for name in names:
        if (name == "medmamba-folded" and (training or recording)) or (name == "medmamba-loop" and batch > 1):
            continue
        job = Job(name, image_size, batch, training, recording=recording)
        jobs += [job, job._replace(bfloat16=True)] if name in IN_BFLOAT16 and batch > 1 else [job]
    return jobs


def time_jobs(jobs: Sequence[Job], rounds: int, label: str) -> Times:
    """Build all networks, then time their steps in turns."""
    steps = {job.title: build_step(job) for job in jobs}
    few = {LOOP: min(rounds, LOOP_RUNS)}
    return interleave(steps, rounds, fewer_rounds=few, warmups=2 if rounds > LOOP_RUNS else 1, label=label)


def measure_memory(result: dict[str, Any], names: Sequence[str], options: argparse.Namespace) -> None:
    """Measure the peak memory of each network in a process of its own and add the entries to the result."""
    for task, batch, training in ((TRAINING_8, 8, True), (FORWARD_1, 1, False)):
        for job in jobs_of(names, options.image_size, batch, training):
            if job.bfloat16 or job.network == "medmamba-loop":
                continue
            print(f"memory: {task}, {job.title}", file=sys.stderr)
            peak = memory.peak_memory(partial(build_step, job), partial(load_libraries, job), options.threads)
            result["memory"].append({"task": task, "name": job.title, "bytes": peak})


def memory_table(entries: Sequence[dict[str, Any]]) -> str:
    """Write the peaks beside those of the baseline."""
    parts = []
    for task in dict.fromkeys(entry["task"] for entry in entries):
        peaks = {entry["name"]: entry["bytes"] for entry in entries if entry["task"] == task}
        base = peaks.get(BASELINE)
        rows = [[name, megabytes(peak), f"{peak / base:.3f}" if base else "-"] for name, peak in peaks.items()]
        parts.append(text_table([f"peak memory, {task}", memory.method(), f"x {BASELINE}"], rows))
    return "\n\n".join(parts)


def bars_of(times: dict[str, Times], peaks: Sequence[dict[str, Any]], as_promised: bool) -> list[Bar]:
    """Hold the promises against what was measured.

    Args:
        times: samples by task.
        peaks: entries of the peak memory.
        as_promised: whether sizes and threads are those of the promises.
    """

    def ratio(task: str, name: str, other: str) -> float | None:
        known = times[task].seconds if task in times else {}
        return times[task].ratio(name, other).median if name in known and other in known else None

    training = {entry["name"]: entry["bytes"] for entry in peaks if entry["task"] == TRAINING_8}
    memory_ratio = training[OWN] / training[BASELINE] if {OWN, BASELINE} <= training.keys() else None
    return [
        Bar(f"{FORWARD_1}: python-loop scan / MedMamba-T", ratio(FORWARD_1, LOOP, OWN), 35, True, as_promised),
        Bar(f"{RECORDING_1}: the same", ratio(RECORDING_1, LOOP, OWN), 35, True, as_promised),
        Bar(f"{FORWARD_1}: MedMamba-T / ResNet-50", ratio(FORWARD_1, OWN, BASELINE), 1.1, False, as_promised),
        Bar(f"{TRAINING_8}: MedMamba-T / ResNet-50", ratio(TRAINING_8, OWN, BASELINE), 1.0, False, as_promised),
        Bar(f"{TRAINING_8}: MedMamba-T / ResNet-50, aim", ratio(TRAINING_8, OWN, BASELINE), 0.8, False, as_promised),
        Bar(f"{TRAINING_8}: MedMamba-T / Swin-T", ratio(TRAINING_8, OWN, SWIN), 1.0, False, as_promised),
        Bar(f"peak memory, {TRAINING_8}: MedMamba-T / ResNet-50", memory_ratio, 0.95, False, as_promised),
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.model", description=__doc__)
    parser.add_argument("--networks", nargs="+", metavar="NAME", default=list(TITLES), help="default: %(default)s")
    parser.add_argument("--image-size", type=int, help="edge in pixels (default 224, quick 64)")
    parser.add_argument("--rounds", type=int, help="samples of each (default 15, quick 2)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    options.image_size = options.image_size or (64 if options.quick else 224)
    return options


if __name__ == "__main__":
    sys.exit(main())
