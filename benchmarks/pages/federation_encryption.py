"""What is written of ``python -m benchmarks.federation_encryption``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.report import markdown_table, measured_on

TITLES = {"none": "as they are", "encryption": "encrypted"}
"""Of updates, by the value of ``--privacy``."""
NOISE = "noise"
"""Updates with errors as small as those of the encryption."""


def encryption_part(result: dict[str, Any]) -> str:
    """Write what encryption costs."""
    options, runs = result["options"], [run for way in TITLES for run in result["runs"][way]]
    own, others = (sum(run[name] for run in runs) for name in ("cpu_seconds", "cpu_seconds_of_others"))
    alone = " in a network namespace of its own" if result["own_loopback"] else ""
    words = "".join(f" --{name} {options[name]}" for name in ("sites", "images", "rounds", "repetitions"))
    made = f"`python -m benchmarks.federation_encryption{words}`{alone}"
    told = (
        f"{options['sites']} sites of the phantom with at most {options['images']} training images each, "
        f"{options['rounds']} rounds of an epoch, fold 0, a network of {result['weights']:,} weights, in real "
        f"processes of NVFlare's simulator, from start to end; medians of {options['repetitions']} runs each, in "
        f"turns. {_compare(result)} Of the processors' work meanwhile, {max(others, 0) / (own + max(others, 0)):.0%} "
        f"was other programs'. The last row has errors of 0.00000001 (standard deviation) in each weight that is "
        f"averaged, without encryption and in one process. {measured_on(result)} Made by {made}."
    )
    return f"{markdown_table(*list_rows(result))}\n\n{told}"


def _compare(result: Mapping[str, Any]) -> str:
    rounds, pairs = result["options"]["rounds"], list(zip(*(result["runs"][way] for way in TITLES), strict=True))
    computed, taken, sent = (
        _write_range([encrypted[name] / plain[name] for plain, encrypted in pairs])
        for name in ("cpu_seconds", "seconds", "bytes")
    )
    more = statistics.median((encrypted["bytes"] - plain["bytes"]) / rounds for plain, encrypted in pairs)
    return (
        f"Encrypted, it took {computed} times the seconds of processors and {taken} times the time from start to end, "
        f"and sent {sent} times the bytes, {more / 1e6:.0f} MB more a round."
    )


def _write_range(values: list[float]) -> str:
    low, high = (f"{limit:.2f}" for limit in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def list_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of the table."""
    rows = []
    for way, runs in result["runs"].items():
        took = ["", "", ""]
        if way in TITLES:
            computed, taken, sent = (
                statistics.median(run[name] for run in runs) for name in ("cpu_seconds", "seconds", "bytes")
            )
            took = [f"{computed:.0f} s", f"{taken:.0f} s", f"{sent / 1e6:.1f} MB"]
        areas = ", ".join(f"{run['auc']:.4f}" for run in runs)
        unlike = ", ".join(str(run["unlike_from"] or "never") for run in runs)
        rows.append([TITLES.get(way, "with errors of 0.00000001"), *took, areas, unlike])
    titles = ["updates", "seconds of processors", "from start to end", "sent", "AUC of each run, mean of the sites"]
    return [*titles, "figures differ from round"], rows
