"""Times of several things, measured in turns, so that a machine that slows down slows all of them.

In each round everything is run once, and the next round starts with another of them. A ratio is formed inside each
round, where the machine was the same for both sides, and only then summarized.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

Function = Callable[[], object]
Clock = Callable[[], float]

SHORTEST_SAMPLE = 0.02
"""Seconds; what is faster is repeated within a sample until it takes about so long."""


class Summary(NamedTuple):
    """What remains of the samples of one function.

    Attributes:
        median: seconds.
        minimum: seconds.
        spread: distance between the quartiles as a fraction of the median.
        runs: number of samples.
    """

    median: float
    minimum: float
    spread: float
    runs: int


class Ratio(NamedTuple):
    """Median and quartiles of the ratios of each round."""

    median: float
    lower: float
    upper: float


@dataclass
class Times:
    """Samples of each function, one for each round that it took part in.

    Attributes:
        seconds: samples by name, in the order of the rounds; every name took part from the first round on.
        interrupted: whether Ctrl-C ended the measurement early.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    interrupted: bool = False

    def summary(self, name: str) -> Summary:
        """Summarize the samples of ``name``."""
        samples = self.seconds[name]
        median, (lower, upper) = statistics.median(samples), quartiles(samples)
        return Summary(median, min(samples), (upper - lower) / median if median else 0.0, len(samples))

    def ratio(self, name: str, baseline: str) -> Ratio:
        """Divide the time of ``name`` by that of ``baseline`` in each round that both took part in."""
        pairs = zip(self.seconds[name], self.seconds[baseline], strict=False)
        ratios = [one / other for one, other in pairs]
        return Ratio(statistics.median(ratios), *quartiles(ratios))

    def stop_if_interrupted(self) -> None:
        """Go on with the Ctrl-C that ended the measurement, after its samples have been stored."""
        if self.interrupted:
            raise KeyboardInterrupt


def quartiles(samples: list[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile, interpolated; a single sample is both."""
    if len(samples) < 2:
        return samples[0], samples[0]
    lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, upper


def interleave(
    functions: Mapping[str, Function],
    rounds: int,
    *,
    fewer_rounds: Mapping[str, int] | None = None,
    warmups: int = 1,
    device: str | torch.device = "cpu",
    shortest_sample: float = SHORTEST_SAMPLE,
    clock: Clock = time.perf_counter,
    label: str = "",
) -> Times:
    """Run functions in turns.

    Args:
        functions: what to time, by name.
        rounds: how often each is sampled.
        fewer_rounds: how often the slow ones among them are sampled instead, in the first rounds.
        warmups: calls of each before the first round, the last of them timed to choose the repetitions within a
            sample; without any nothing is repeated.
        device: where they compute; on CUDA the time is that between two events of the stream.
        shortest_sample: seconds that a sample should take at least; shorter calls are repeated within it.
        clock: the seconds of the CPU.
        label: what is being measured, for the progress on stderr.

    Returns:
        The samples; on Ctrl-C those taken so far, without the functions that have none.
    """
    device, names = torch.device(device), list(functions)
    limits = {name: min((fewer_rounds or {}).get(name, rounds), rounds) for name in names}
    times = Times({name: [] for name in names})
    try:
        with tqdm(total=sum(limits.values()) + len(names), desc=label, unit="run", leave=False) as progress:
            repeats = {}
            for name in names:
                for _ in range(warmups - 1):
                    functions[name]()
                once = time_call(functions[name], 1, device, clock) if warmups else shortest_sample
                repeats[name] = max(1, round(shortest_sample / once)) if once > 0 else 1
                progress.update()
            for number in range(rounds):
                start = number % len(names)
                for name in names[start:] + names[:start]:
                    if number < limits[name]:
                        times.seconds[name].append(time_call(functions[name], repeats[name], device, clock))
                        progress.update()
    except KeyboardInterrupt:
        times.interrupted = True
    times.seconds = {name: samples for name, samples in times.seconds.items() if samples}
    return times


def time_call(function: Function, repeats: int, device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Return the seconds of one call, the mean of ``repeats`` calls in a row."""
    if device.type != "cuda":
        begin = clock()
        for _ in range(repeats):
            function()
        return (clock() - begin) / repeats
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    before.record()
    for _ in range(repeats):
        function()
    after.record()
    torch.cuda.synchronize(device)
    return before.elapsed_time(after) / 1000 / repeats


def time_entries(times: Times, task: str, baseline: str) -> list[dict[str, Any]]:
    """Make one JSON entry of each name, with its samples, so that any other ratio can be computed later."""
    entries = []
    for name, samples in times.seconds.items():
        entry: dict[str, Any] = {"task": task, "name": name, **times.summary(name)._asdict()}
        if baseline in times.seconds:
            entry["ratio"] = {"to": baseline, **times.ratio(name, baseline)._asdict()}
        entries.append(entry | {"seconds": samples})
    return entries
