"""The tables of ``benchmarks.growth``: times and peaks by the size of the image, and the exponents of their growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.report import megabytes, milliseconds, text_table


def series(entries: Sequence[dict[str, Any]], value: str) -> dict[tuple[str, str, int], dict[int, float]]:
    """Group entries by (name, task, threads) into image size -> value."""
    grouped: dict[tuple[str, str, int], dict[int, float]] = {}
    for entry in entries:
        grouped.setdefault((entry["name"], entry["task"], entry["threads"]), {})[entry["image_size"]] = entry[value]
    return grouped


def exponent(values: dict[int, float]) -> float | None:
    """Fit the exponent in the number of pixels; None for fewer than two sizes."""
    if len(values) < 2:
        return None
    pixels = [2 * math.log(size) for size in values]
    return float(np.polyfit(pixels, np.log(list(values.values())), deg=1)[0])


def growth_table(result: dict[str, Any]) -> str:
    """Write times, then peaks, a column for each size."""
    parts = []
    for title, key, value, write in (
        ("time", "times", "median", milliseconds),
        ("peak memory", "memory", "bytes", megabytes),
    ):
        lines = series(result[key], value)
        sizes = sorted({size for values in lines.values() for size in values})
        rows = [
            [f"{name}, {task}", str(threads), *(write(values[size]) if size in values else "-" for size in sizes)]
            for (name, task, threads), values in sorted(lines.items(), key=lambda line: (line[0][1:], line[0][0]))
        ]
        parts.append(text_table([f"{title}, batch 1", "threads", *(f"{size} px" for size in sizes)], rows))
    return "\n\n".join(parts)


def exponent_table(result: dict[str, Any]) -> str:
    """Write the exponents of time and memory: over all sizes, and between the two largest."""
    times, peaks = series(result["times"], "median"), series(result["memory"], "bytes")
    rows = []
    for (name, task, threads), values in sorted(times.items(), key=lambda line: (line[0][1:], line[0][0])):
        bytes_of = peaks.get((name, task, threads), {})
        fits = [values, largest_two(values), bytes_of, largest_two(bytes_of)]
        found = [exponent(fit) for fit in fits]
        texts = ["-" if number is None else f"{number:.2f}" for number in found]
        rows.append([f"{name}, {task}", str(threads), *texts])
    titles = ["exponent in the number of pixels", "threads", "time", "largest two", "memory", "largest two"]
    return text_table(titles, rows)


def largest_two(values: dict[int, float]) -> dict[int, float]:
    """Keep the two largest sizes."""
    return {size: values[size] for size in sorted(values)[-2:]}
