"""Networks on a GPU: images per second, peak memory, and whether bfloat16 training stays finite."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.memory import peak_cuda_memory
from benchmarks.networks import NUM_CLASSES, Job, build_network, build_step
from benchmarks.report import megabytes, milliseconds, text_table
from benchmarks.timing import interleave, time_entries
from medmamba_monai.core.errors import get_first_line


def measure_networks(jobs: Sequence[Job], rounds: int, baseline: str = "resnet50") -> list[dict[str, Any]]:
    """Measure the jobs of one task in turns: seconds, images per second and peak memory.

    Ratios are to the network ``baseline`` at the same task.

    A job that fails, for lack of memory in most cases, has an entry with ``failed`` instead of figures.

    Raises:
        RuntimeError: all of them failed.
    """
    entries, steps, peaks = [], {}, {}
    task, beside = jobs[0].task, jobs[0]._replace(network=baseline).title
    device = torch.device(jobs[0].device)
    for job in jobs:
        try:
            peaks[job.title] = peak_cuda_memory(partial(build_step, job), device) if device.type == "cuda" else None
            step = build_step(job)
            step()
        except Exception as error:  # noqa: BLE001 - compilers of kernels raise errors of many kinds
            entries.append({"task": task, "name": job.title, "failed": get_first_line(error)})
        else:
            steps[job.title] = step
        release(device)
    if not steps:
        raise RuntimeError(f"no network ran: {entries[0]['failed']}")
    times = interleave(steps, rounds, warmups=2, device=device, label=task)
    times.stop_if_interrupted()
    for entry in time_entries(times, task, beside):
        speed = jobs[0].batch / entry["median"]
        entries.append(entry | {"images_per_second": speed, "peak_bytes": peaks[entry["name"]]})
    place = {"batch": jobs[0].batch, "training": jobs[0].training, "bfloat16": jobs[0].bfloat16}
    return [entry | place for entry in entries]


def time_networks(jobs: Sequence[Job], rounds: int) -> list[dict[str, Any]]:
    """Measure the networks of one task and print their table."""
    entries = measure_networks(jobs, rounds)
    rows = []
    for entry in entries:
        if "failed" in entry:
            rows.append([entry["name"], "-", "-", "-", entry["failed"][:60]])
        else:
            peak = "-" if entry["peak_bytes"] is None else megabytes(entry["peak_bytes"])
            speed = f"{entry['images_per_second']:,.0f}"
            rows.append([entry["name"], milliseconds(entry["median"]), speed, peak, f"{100 * entry['spread']:.1f} %"])
    print(text_table([jobs[0].task, "median", "images/s", "peak memory", "spread"], rows))
    return entries


def release(device: torch.device) -> None:
    """Give cached memory back, so that the next network does not fail for want of it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def train_in_bfloat16(
    name: str, image_size: int, batch: int, steps: int, device: str, build: Callable[[], torch.nn.Module] | None = None
) -> dict[str, Any]:
    """Train under bfloat16 autocast with the paper's Adam on images that can be told apart.

    Args:
        name: a network of :mod:`benchmarks.networks`.
        image_size: edge in pixels.
        batch: images a step.
        steps: training steps.
        device: where.
        build: builds another network instead.

    Returns:
        The first and last loss, the number of steps with a loss that is not finite, and whether all parameters are
        finite at the end.
    """
    torch.manual_seed(0)
    network = (build or partial(build_network, name, image_size))().to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    generator = torch.Generator(device).manual_seed(0)
    patterns = torch.randn(NUM_CLASSES, 3, image_size, image_size, device=device, generator=generator)
    losses = []
    for _ in range(steps):
        labels = torch.randint(NUM_CLASSES, (batch,), device=device, generator=generator)
        noise = torch.randn(batch, 3, image_size, image_size, device=device, generator=generator)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = functional.cross_entropy(network(patterns[labels] + noise), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    values = torch.stack(losses).float().tolist()
    finite = all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    return {
        "steps": steps,
        "batch": batch,
        "first_loss": _written(values[0]),
        "last_loss": _written(values[-1]),
        "not_finite": sum(not math.isfinite(value) for value in values),
        "parameters_finite": finite,
    }


def _written(number: float) -> float | str:
    """Return a number as JSON can hold it."""
    return number if math.isfinite(number) else str(number)
