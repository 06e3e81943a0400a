"""Time the relevance of pixels beside a forward pass: ``python -m benchmarks.explain``.

MedMamba-T with random weights, one image: the forward pass in inference mode, the relevance map, and the map split by
branch and direction, in turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.machine import default_threads, describe_machine
from benchmarks.networks import build_network
from benchmarks.report import (
    Bar,
    add_common_options,
    bar_table,
    markdown_table,
    measured_on,
    new_result,
    save_result,
    time_table,
)
from benchmarks.timing import interleave, time_entries
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.explain import ScanRelevance

FORWARD, MAP, SPLIT = "forward pass", "relevance", "relevance by branch and direction"
LIMIT = 4
PROMISED_SIZE = 224


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.explain", description=__doc__)
    parser.add_argument("--image-size", type=int, help="edge in pixels (default 224, quick 64)")
    parser.add_argument("--rounds", type=int, help="samples of each (default 15, quick 2)")
    parser.add_argument("--threads", type=int, default=default_threads())
    add_common_options(parser)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 15)
    options.image_size = options.image_size or (64 if options.quick else PROMISED_SIZE)
    torch.set_num_threads(options.threads)
    chosen = {key: getattr(options, key) for key in ("image_size", "rounds", "quick")}
    result = new_result("explain", chosen, describe_machine(threads=options.threads))
    times = interleave(make_calls(options.image_size), options.rounds, label="explain")
    result["times"] = time_entries(times, f"one image of {options.image_size} pixels", FORWARD)
    result["bars"] = [make_bar(result, name).entry() for name in (MAP, SPLIT)]
    print(f"\n{time_table(result['times'])}\n\n{bar_table(result['bars'])}")
    save_result(result, options.json)
    times.stop_if_interrupted()
    return 0


def make_calls(image_size: int) -> dict[str, Any]:
    """Make what is timed, by name."""
    torch.manual_seed(0)
    network = build_network("medmamba", image_size).eval()
    image, relevance = torch.randn(1, 3, image_size, image_size), ScanRelevance(network)
    forward = torch.inference_mode()(partial(network, image))
    return {FORWARD: forward, MAP: partial(relevance, image, 0), SPLIT: partial(relevance.explain, image, 0)}


def make_bar(result: dict[str, Any], name: str) -> Bar:
    """Hold a time against what it may be at most."""
    ratios = {entry["name"]: entry["ratio"]["median"] for entry in result["times"] if "ratio" in entry}
    as_promised = result["options"]["image_size"] == PROMISED_SIZE and not result["options"]["quick"]
    return Bar(f"{name} / {FORWARD}", ratios.get(name), LIMIT, measured_as_promised=as_promised)


def explain_part(result: dict[str, Any]) -> str:
    """Write how many times as long as a forward pass maps take; both are slower together on a busy machine."""
    ratios = {entry["name"]: entry["ratio"] for entry in result["times"] if entry["name"] != FORWARD}
    rows = [
        [name, f"{ratio['median']:.2f} ({ratio['lower']:.2f} to {ratio['upper']:.2f})"]
        for name, ratio in ratios.items()
    ]
    size, threads = result["options"]["image_size"], result["machine"]["threads"]
    titles = [f"MedMamba-T, one image of {size} pixels, threads: {threads}", f"times a {FORWARD} (quartiles)"]
    return f"{markdown_table(titles, rows)}\n\n{measured_on(result)}"


if __name__ == "__main__":
    sys.exit(main())
