"""How many kernels a training step launches on a GPU, and how long the GPU is busy with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.networks import Job, build_step
from benchmarks.report import milliseconds

WARM_UPS, MOST_FREQUENT = 3, 12
NOT_KERNELS = ("Memcpy", "Memset", "Activity Buffer Request")


def count_launches(network: str, image_size: int, batch: int, device: str) -> dict[str, Any]:
    """Profile one training step in each precision; returns its kernels, by precision and in detail."""
    found: dict[str, Any] = {"network": network, "batch": batch}
    for bfloat16 in (False, True):
        job = Job(network, image_size, batch, True, bfloat16, device)
        precision = "bfloat16" if bfloat16 else "float32"
        kernels = profile_kernels(build_step(job), device)
        busy = sum(seconds for *_, seconds in kernels)
        found |= {precision: sum(count for _, count, _ in kernels), f"{precision}_busy_seconds": busy}
        found[f"{precision}_most_frequent"] = kernels[:MOST_FREQUENT]
        print(f"{precision}: {found[precision]} kernels a step, {milliseconds(busy)} busy")
    return found


def profile_kernels(step: Callable[[], object], device: str) -> list[tuple[str, int, float]]:
    """Profile a step; returns name, launches and seconds of each kernel, the most frequent first."""
    for _ in range(WARM_UPS):
        step()
    on_gpu = torch.device(device).type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        step()
        if on_gpu:
            torch.cuda.synchronize(device)
    return count_kernels(profiler.events())


def count_kernels(events: Iterable[Any]) -> list[tuple[str, int, float]]:
    """Count the kernels among a profiler's events; copies and fills of memory are none."""
    counts, microseconds = Counter[str](), defaultdict[str, float](float)
    for event in events:
        is_kernel = event.device_type == DeviceType.CUDA and not event.is_user_annotation
        if is_kernel and not event.name.startswith(NOT_KERNELS):
            counts[event.name] += 1
            microseconds[event.name] += event.time_range.elapsed_us()
    return [(name, count, microseconds[name] / 1e6) for name, count in counts.most_common()]
