"""What is promised on a GPU, against what ``benchmarks.gpu`` found."""

from __future__ import annotations

from typing import Any

from benchmarks.report import Bar

OWN, OTHER = "MedMamba-T, triton", "MedMamba-T, mamba_ssm"
BATCH = 64
FASTER_TRAINING, FASTER_FORWARD, MEMORY = 2.0, 3.0, 0.5


def gpu_bars(parts: dict[str, Any]) -> list[Bar]:
    """Hold the promises against the parts that are there.

    A promise counts at 224 pixels and batch 64; figures are None where a part or a network is missing.
    """
    bars = []
    for dtype in ("float32", "bfloat16"):
        training, forward = (_entries(parts, f"{task}, batch {BATCH}, {dtype}") for task in ("training", "inference"))
        other_over_own = "batch 64, mamba_ssm's kernel / own"
        bars += [
            Bar(f"training step, {dtype}, {other_over_own}", _ratio(training, "median"), FASTER_TRAINING, True),
            Bar(f"forward, {dtype}, {other_over_own}", _ratio(forward, "median"), FASTER_FORWARD, True),
            Bar(f"peak training memory, {dtype}, batch 64, own / mamba_ssm's", _inverse(training), MEMORY),
        ]
    finite = parts.get("bfloat16", {}).get("found")
    spoiled = None if finite is None else finite["not_finite"] + (not finite["parameters_finite"])
    steps = "200" if finite is None else finite["steps"]
    bars.append(Bar(f"{steps} steps of bfloat16 training, losses that are not finite", spoiled, 0))
    accurate = parts.get("accuracy", {}).get("found")
    if accurate is not None:
        missed = sum(entry["met"] is False for entry in accurate["errors"] + accurate["special_values"])
        bars.append(Bar("accuracy against float64, bars missed", missed, 0))
    tests = parts.get("tests", {}).get("found")
    if tests is not None:
        bars.append(Bar("test suite, exit code", tests["exit_code"], 0))
    return bars


def _entries(parts: dict[str, Any], task: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a task that succeeded, by network."""
    found = parts.get(f"networks: {task}", {}).get("found", [])
    return {entry["name"]: entry for entry in found if "failed" not in entry}


def _ratio(entries: dict[str, dict[str, Any]], value: str) -> float | None:
    """Divide the figure of mamba_ssm's kernel by our own, None where one of them is missing."""
    other, own = (entries.get(name, {}).get(value) for name in (OTHER, OWN))
    return None if other is None or own is None else other / own


def _inverse(entries: dict[str, dict[str, Any]]) -> float | None:
    ratio = _ratio(entries, "peak_bytes")
    return 1 / ratio if ratio else None
