"""Networks, times and counts in the words of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from medmamba_monai.networks import NETWORKS
from medmamba_monai.training.probes import TITLES, Method


def describe_architecture(options: dict[str, Any]) -> str:
    """Return a network in words: its title and, of a MedMamba, its sizes."""
    title = NETWORKS[options["network_name"]]
    if not options.get("depths"):
        return title
    depths, channels = ("-".join(map(str, options[name])) for name in ("depths", "channels"))
    return f"{title} (depths {depths}, channels {channels})"


def describe_network(options: dict[str, Any], pretrained: bool = False, probe: Method | None = None) -> str:
    """Return a candidate in words: its network, and how it learns.

    Args:
        options: of its training.
        pretrained: whether it begins with the starting weights.
        probe: what learns from its features, if it is not trained.
    """
    title = describe_architecture(options)
    if probe is not None:
        return f"{TITLES[probe]} on frozen {title}"
    return f"{title}, {'from the starting weights, ' if pretrained else ''}learning rate {options['learning_rate']:g}"


def describe_time(seconds: float) -> str:
    """Return a time in words, coarser the longer it is.

    Example:
        >>> describe_time(0.24), describe_time(95), describe_time(1500), describe_time(7200), describe_time(9000)
        ('0.2 seconds', '95 seconds', '25 minutes', '2 hours', '2 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} seconds"
    if seconds < 120:
        return f"{math.ceil(seconds)} seconds"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_count(number: int, what: str) -> str:
    """Return a number with what it counts, in the plural where there are several."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def format_lengths(lengths: Sequence[float]) -> str:
    """Return lengths along axes as a product.

    Example:
        >>> format_lengths((0.5, 0.5, 1.25))
        '0.5 x 0.5 x 1.25'
    """
    return " x ".join(f"{length:.3g}" for length in lengths)


def format_percent(share: float) -> str:
    """Return a share as whole percents."""
    return f"{share * 100:.0f} %"
