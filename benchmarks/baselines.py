"""Size and speed of the networks that the pipeline trains: ``python -m benchmarks.baselines``.

Parameters and multiply-adds of one image; images per second of inference and of training at batch 1 and 64, of all
networks in the same rounds, and how many times as many as those of ResNet-50. Multiply-adds are those of convolutions,
matrix products and attention, as PyTorch counts them, and those of the scan (:func:`scan_flops`). Norms, activations,
exponentials, softmax, pooling, biases and sums are not counted.

Training at batch 64 takes gigabytes, and seconds to minutes a step. So each network trains there in a process of its
own, for one step at batch 1 and one that is timed; what does not fit in the available memory is reported as such.
All else is measured in one process, which takes some 5 GB at 224 pixels.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import NUM_CLASSES, Job, step_of
from benchmarks.report import add_common_options, markdown_table, new_result, save_result, time_table
from benchmarks.timing import Times, interleave, time_call, time_entries
from medmamba_monai.core.errors import UserError, ends_with_user_errors, get_first_line
from medmamba_monai.core.memory import measure_available_memory
from medmamba_monai.networks.registry import NETWORKS, build_network

NAMES = [name for name in NETWORKS if name != "medmamba"]
BASELINE = NETWORKS["resnet50"]
SMALLEST_SIZE = 64
"""Pixels; below it a last map is one pixel, of which batch norm cannot train on a single image."""


class Task(NamedTuple):
    """What is timed of each network, and how often."""

    title: str
    batch: int
    training: bool
    rounds: int

    def job(self, name: str, image_size: int) -> Job:
        """Make the job of a network."""
        return Job(name, image_size, self.batch, self.training)


TOGETHER = (
    Task("inference, batch 1", 1, False, 15),
    Task("inference, batch 64", 64, False, 3),
    Task("training, batch 1", 1, True, 9),
)
ALONE = Task("training, batch 64", 64, True, 1)


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    run(options)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark with parsed options and return its result.

    Raises:
        UserError: the images are too small, or there is no network that takes them.
    """
    if options.image_size < SMALLEST_SIZE:
        raise UserError(f"--image-size {options.image_size}: networks with batch norm train on {SMALLEST_SIZE} or more")
    chosen = {key: getattr(options, key) for key in ("image_size", "networks", "quick")}
    result = new_result("baselines", chosen, describe_machine(threads=options.threads))
    result |= {"sizes": [], "times": [], "left_out": []}
    names = measure_sizes(result, options.networks, options.image_size)
    try:
        measure_together(result, names, options)
        measure_alone(result, names, options)
    except KeyboardInterrupt:
        result["interrupted"] = True
        print("stopped: what follows is what was measured so far")
    print(f"\n{table(result)}")
    save_result(result, options.json)
    return result


def measure_sizes(result: dict[str, Any], names: Sequence[str], image_size: int) -> list[str]:
    """Count parameters and multiply-adds, and return the names of the networks that can be built.

    Raises:
        UserError: there are none.
    """
    built = []
    for name in names:
        try:
            with torch.device("meta"):
                network = _build(name, image_size)
        except UserError as error:
            leave_out(result, "all", name, str(error))
            continue
        parameters = sum(parameter.numel() for parameter in network.parameters())
        counts = {"parameters": parameters, **multiply_adds(network, image_size)}
        result["sizes"].append({"name": NETWORKS[name], **counts})
        built.append(name)
    if not built:
        raise UserError(f"none of {', '.join(names)} can be measured here, for the reasons above")
    return built


def scan_flops(u: Sequence[int], projected: Sequence[int], dt_weight: Sequence[int], *_: Any, **__: Any) -> int:
    """Count the operations of a scan from the shapes of its inputs, two for a multiply-add.

    Each of B * L tokens takes, in each of K directions and of C channels, R multiply-adds for its step size dt; one
    each for dt * u and for D * u + y; and for each of N states four, of which a product alone counts as one:
    dt * A, (dt * u) * B, exp(dt * A) * h + ... and C * h + y. That is B L K C (R + 4 N + 2) multiply-adds.

    Args:
        u: shape (B, L, C).
        projected: shape (B, L, K, R + 2 N).
        dt_weight: shape (K, C, R).
    """
    (batch, length, channels), (directions, _channels, rank) = u, dt_weight
    states = (projected[-1] - rank) // 2
    return 2 * batch * length * directions * channels * (rank + 4 * states + 2)


def multiply_adds(network: nn.Module, image_size: int) -> dict[str, int]:
    """Count the multiply-adds of one image with three channels: of the whole network, and of its scans.

    Args:
        network: on the meta device, so that nothing is computed; there attention is made of products that are counted.
        image_size: edge of the image, pixels.
    """
    scan = torch.ops.medmamba_monai.directional_scan_forward
    image = torch.zeros(1, 3, image_size, image_size, device="meta")
    with FlopCounterMode(display=False, custom_mapping={scan: scan_flops}) as counter, torch.no_grad():
        network.eval()(image)
    of_scan = counter.get_flop_counts()["Global"].get(scan, 0)
    return {"multiply_adds": counter.get_total_flops() // 2, "of_scan": of_scan // 2}


def measure_together(result: dict[str, Any], names: Sequence[str], options: argparse.Namespace) -> None:
    """Time the tasks that need little memory, all networks in turns in this process."""
    torch.manual_seed(0)
    networks = {name: _build(name, options.image_size) for name in names}
    for task in TOGETHER:
        steps = {NETWORKS[name]: step_of(networks[name], task.job(name, options.image_size)) for name in names}
        rounds = min(task.rounds, 2) if options.quick else task.rounds
        times = interleave(steps, rounds, warmups=2 if task.batch == 1 else 1, label=task.title)
        add_times(result, task, times)


def measure_alone(result: dict[str, Any], names: Sequence[str], options: argparse.Namespace) -> None:
    """Time a training step at batch 64, each network in a process of its own; leave out what does not fit."""
    times = Times()
    try:
        for name in names:
            print(f"{ALONE.title}: {NETWORKS[name]}", file=sys.stderr)
            found = in_own_process(time_one_step, ALONE.job(name, options.image_size), options.threads)
            if isinstance(found, str):
                leave_out(result, ALONE.title, name, found)
            else:
                times.seconds[NETWORKS[name]] = [found]
    except KeyboardInterrupt:
        times.interrupted = True
    add_times(result, ALONE, times)


def add_times(result: dict[str, Any], task: Task, times: Times) -> None:
    """Print the times of a task and add them to the result, with images per second."""
    entries = time_entries(times, task.title, BASELINE)
    result["times"] += [entry | {"images_per_second": task.batch / entry["median"]} for entry in entries]
    print(f"\n{time_table(entries)}", flush=True)
    times.stop_if_interrupted()


def leave_out(result: dict[str, Any], task: str, name: str, reason: str) -> None:
    """Say that a network takes no part in a task, and why."""
    print(f"{NETWORKS[name]} is left out ({task}): {reason}", flush=True)
    result["left_out"].append({"task": task, "name": NETWORKS[name], "reason": reason})


def in_own_process(measure: Callable[[Job], float], job: Job, threads: int) -> float | str:
    """Run ``measure(job)`` in a fresh process with no more memory than is available.

    Returns:
        What it returns, or, where the memory did not suffice, the reason in words.
    """
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_measure_here, measure, job, threads).result()
    except (MemoryError, RuntimeError) as error:
        reason = want_of_memory(error)
        if reason is None:
            raise
        return reason


def want_of_memory(error: Exception) -> str | None:
    """Say that an error comes from too little memory, None if it does not."""
    if isinstance(error, BrokenProcessPool):
        return "its process was ended, most likely for want of memory"
    if isinstance(error, MemoryError) or re.search("allocate memory|(out of|not enough) memory|bad_alloc", str(error)):
        return f"it does not fit in memory ({get_first_line(error)})"
    return None


def time_one_step(job: Job) -> float:
    """Return the seconds of one step, after a step at batch 1 in which the libraries are loaded and compiled."""
    torch.manual_seed(0)
    network = _build(job.network, job.image_size)
    step_of(network, job._replace(batch=1))()
    return time_call(step_of(network, job), 1, torch.device(job.device))


def table(result: dict[str, Any]) -> str:
    """Write a result as a Markdown table with a note below it."""
    tasks = [task.title for task in (*TOGETHER, ALONE)]
    entries = {(entry["name"], entry["task"]): entry for entry in result["times"]}
    left_out = {(entry["name"], entry["task"]) for entry in result["left_out"]}
    size, threads = result["options"]["image_size"], result["machine"]["threads"]
    titles = [f"{size} pixels, {threads} thread{'s' if threads > 1 else ''}", "parameters", "multiply-adds", *tasks]
    rows = []
    for entry in result["sizes"]:
        keys = [(entry["name"], task) for task in tasks]
        cells = ["does not fit" if key in left_out else _speed_cell(entries.get(key)) for key in keys]
        rows.append([entry["name"], *_size_cells(entry), *cells])
    return f"{markdown_table(titles, rows)}\n\n{_note(result)}"


def _note(result: dict[str, Any]) -> str:
    missing = [entry for entry in result["left_out"] if entry["task"] == "all"]
    absent = f" Left out: {', '.join(entry['name'] for entry in missing)}." if missing else ""
    return (
        f"Images per second, and in brackets how many times as many as {BASELINE} in the same round; float32, "
        f"{NUM_CLASSES} classes, 3 channels. A training step is forward, backward and plain gradient descent; at batch "
        f"64 it is one step of each network in a process of its own. Multiply-adds are those of convolutions, matrix "
        f"products, attention and the scan for one image; norms and activations are not counted.{absent}"
    )


def _size_cells(size: dict[str, Any]) -> list[str]:
    return [f"{size['parameters'] / 1e6:.1f} M", f"{size['multiply_adds'] / 1e9:.2f} G"]


def _speed_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    speed = entry["images_per_second"]
    ratio = f" ({1 / entry['ratio']['median']:.2f})" if "ratio" in entry and entry["name"] != BASELINE else ""
    return f"{speed:{',.0f' if speed >= 100 else '.1f' if speed >= 1 else '.2f'}}{ratio}"


def _build(name: str, image_size: int) -> nn.Module:
    return build_network(name, 2, 3, NUM_CLASSES, image_size)


def _measure_here(measure: Callable[[Job], float], job: Job, threads: int) -> float:
    torch.set_num_threads(threads)
    _limit_memory(measure_available_memory())
    return measure(job)


def _limit_memory(size: int) -> None:
    """Let an allocation beyond ``size`` more bytes fail, where the system would end some process instead."""
    if sys.platform != "linux":
        return
    import resource

    found = re.search(r"^VmData:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    used = 1024 * int(found[1]) if found else 0
    resource.setrlimit(resource.RLIMIT_DATA, (used + size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.baselines", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NAMES, metavar="NAME", default=NAMES, help="of: %(choices)s")
    parser.add_argument("--image-size", type=int, help="edge in pixels (default 224, quick 64)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.image_size = options.image_size or (64 if options.quick else 224)
    return options


if __name__ == "__main__":
    sys.exit(main())
