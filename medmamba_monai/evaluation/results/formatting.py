"""Numbers as readers see them: values of a metric, their spread, their interval."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.statistics.resampling import Interval


def format_value(name: str, value: float) -> str:
    """Write the value of a metric: percent with two digits, fractions with four.

    Example:
        >>> format_value("accuracy", 0.85), format_value("auc", 0.85)
        ('85.00', '0.8500')
    """
    return f"{100 * value:.2f}" if CATALOGUE[name].in_percent else f"{value:.4f}"


def format_spread(name: str, values: Sequence[float]) -> str:
    """Write mean and sample standard deviation (n - 1) of a metric; of a single value itself."""
    spread = f" ± {format_value(name, stdev(values))}" if len(values) > 1 else ""
    return format_value(name, fmean(values)) + spread


def format_interval(name: str, interval: Interval | str, separator: str = " to ") -> str:
    """Write the interval of a metric, a dash where there is none."""
    if isinstance(interval, str):
        return "-"
    return f"{format_value(name, interval.low)}{separator}{format_value(name, interval.high)}"


def format_difference(name: str, value: float) -> str:
    """Write a difference of two values of a metric, with its sign."""
    return f"{100 * value:+.2f}" if CATALOGUE[name].in_percent else f"{value:+.4f}"
