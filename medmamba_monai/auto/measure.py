"""What a plan measures on the machine that trains: how fast networks are there, and what fits into its memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medmamba_monai.auto import rules
from medmamba_monai.auto.fingerprint import Fingerprint, Speed
from medmamba_monai.auto.make import choose_affordable_size, choose_size_in_memory
from medmamba_monai.auto.networks import NETWORKS_TO_TRY, Network, list_networks
from medmamba_monai.auto.rules import Choice
from medmamba_monai.auto.speed import measure_speed
from medmamba_monai.auto.words import describe_time

MEASURING_SHARE = 0.04
"""Share of the budget that measuring networks may take."""

_SMALL = NETWORKS_TO_TRY[0]


class Measured(NamedTuple):
    """What was measured, and what it allows.

    Attributes:
        seen: the fingerprint with the speeds at the batch that fits.
        image_size: that leaves time for a comparison.
        batch_size: that fits into the memory.
    """

    seen: Fingerprint
    image_size: Choice[int]
    batch_size: Choice[int]


def measure(
    bundle: Path,
    seen: Fingerprint,
    budget: float,
    asked: Choice[int] | None,
    training: Mapping[str, Any],
) -> Measured:
    """Measure networks, and fit image size, networks and batch into the time and the memory.

    Args:
        bundle: folder of the bundle, whose card says channels and classes.
        seen: the dataset.
        budget: seconds of the whole search.
        asked: a size that was asked for.
        training: options that all trainings have, such as ``device`` and ``amp``.
    """
    wanted = rules.choose_batch_size(seen)
    size, speeds = measure_networks(bundle, seen, wanted.value, budget, asked, training)
    seen = seen.model_copy(update={"speeds": speeds})
    seen = seen.model_copy(update={"too_large": rules.find_too_large(seen, wanted.value)})
    batch_size = rules.bound_batch_size(wanted, seen)
    bounded = {name: speed.scale(batch_size.value / wanted.value) for name, speed in speeds.items()}
    return Measured(seen.model_copy(update={"speeds": bounded}), size, batch_size)


def measure_networks(
    bundle: Path,
    seen: Fingerprint,
    batch_size: int,
    budget: float,
    asked: Choice[int] | None,
    training: Mapping[str, Any],
) -> tuple[Choice[int], dict[str, Speed]]:
    """Choose the image size that time and memory allow, and measure networks at it, the most promising first.

    Args:
        bundle: folder of the bundle, whose card says channels and classes.
        seen: the dataset.
        batch_size: of the trainings.
        budget: seconds of the whole search.
        asked: a size that was asked for.
        training: options that all trainings have.

    Returns:
        The size, and the speeds by the names of `list_networks`; networks that there was no time for are left out.
    """
    limit = MEASURING_SHARE * budget
    print(f"Measuring how fast networks train on this machine, about {describe_time(limit)} ...", flush=True)
    began = time.perf_counter()
    smallest = rules.SIZES[seen.spatial_dims][0] if asked is None else asked.value
    first = measure_speed(bundle, {**_SMALL.options, **training, "image_size": smallest}, batch_size, limit / 4)
    took = time.perf_counter() - began
    affordable = choose_affordable_size(seen, first, batch_size, budget / 2)
    size = asked or rules.choose_image_size(seen, affordable, choose_size_in_memory(seen, first, batch_size))
    speeds: dict[str, Speed] = {_SMALL.name: first} if size.value == smallest else {}
    for network in list_networks(seen):
        left = limit - (before := time.perf_counter()) + began
        known = speeds.get(network.name) or _find_same(network, seen, speeds)
        if known is None and speeds and left < took:  # later networks are seldom faster than the one before
            continue
        values = {**network.options, **training, "image_size": size.value}
        speeds[network.name] = known or measure_speed(bundle, values, batch_size, left / 2)
        took = took if known else time.perf_counter() - before
        if network.probe is not None:
            continue
        epoch = speeds[network.name].step * seen.images / batch_size
        print(f"  {network.name} at {size.value} pixels: an epoch takes {describe_time(epoch)}", flush=True)
    return size, speeds


def _find_same(network: Network, seen: Fingerprint, speeds: dict[str, Speed]) -> Speed | None:
    """Return the speed of the same network at another learning rate, if it was measured."""

    def architecture(options: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in options.items() if name != "learning_rate"}

    same = (other for other in list_networks(seen) if architecture(other.options) == architecture(network.options))
    return next((speeds[other.name] for other in same if other.name in speeds), None)
