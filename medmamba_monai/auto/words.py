"""Networks, times and counts in the words of a plan."""

from __future__ import annotations

import math
from typing import Any

from medmamba_monai.networks import NETWORKS


def describe_network(options: dict[str, Any]) -> str:
    """Return a network in words: its title and, of a MedMamba, its sizes."""
    title = NETWORKS[options["network_name"]]
    if options.get("depths"):
        title += (
            f" (depths {'-'.join(map(str, options['depths']))}, channels {'-'.join(map(str, options['channels']))})"
        )
    return f"{title}, learning rate {options['learning_rate']:g}"


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


def format_percent(share: float) -> str:
    """Return a share as whole percents."""
    return f"{share * 100:.0f} %"
