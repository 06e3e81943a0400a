"""How often the review's 95 % intervals hold: ``python -m benchmarks.coverage``.

Many small test sets are drawn from one distribution of binary labels and probabilities, whose metrics are known from a
very large sample; counted is how many of their intervals contain the true value. A metric that keeps its promise
reaches 0.95, within the error of the simulation.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.evaluation import Scores, bootstrap_intervals, compute_metrics
from medmamba_monai.evaluation.scores import FloatArray, IntArray
from medmamba_monai.evaluation.statistics.resampling import Interval

TRUTH = 1_000_000
"""Images of the sample that the true values come from."""

LEVEL = 0.95


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--images", type=int, default=100, help="in a test set")
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=999)
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.simulations, options.resamples = 20, 200
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    result = new_result("coverage", settings)
    result["coverage"] = simulate(options.images, options.simulations, options.resamples)
    rows = [[name, f"{found['coverage']:.3f}", str(found["intervals"])] for name, found in result["coverage"].items()]
    print(text_table(["metric", "held", "intervals"], rows))
    save_result(result, options.json)
    return 0


def draw(generator: np.random.Generator, images: int) -> tuple[FloatArray, IntArray]:
    """Draw probabilities of class 1 and labels: a model that is right in some four of five cases and too sure of it."""
    labels = generator.integers(0, 2, images)
    logits = 1.8 * (2 * labels - 1) + 2.2 * generator.normal(size=images)
    return 1 / (1 + np.exp(-logits)), labels


def simulate(images: int, simulations: int, resamples: int) -> dict[str, dict[str, Any]]:
    """Count how often the interval of each metric contains its true value.

    Returns:
        For each metric that gets intervals: ``coverage``, and of how many ``intervals``.
    """
    generator = np.random.default_rng(0)
    truth = compute_metrics(Scores(*draw(generator, TRUTH), task="binary"))
    held: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for seed in range(simulations):
        scores = Scores(*draw(generator, images), task="binary")
        intervals = bootstrap_intervals(scores, resamples=resamples, seed=seed)
        for name, interval in intervals.metrics.items():
            if isinstance(interval, Interval):
                given[name] += 1
                held[name] += interval.low <= truth[name] <= interval.high
    return {name: {"coverage": held[name] / count, "intervals": count} for name, count in given.items()}


def coverage_part(result: dict[str, Any]) -> str:
    """Write the documents' sentence."""
    options, found = result["options"], result["coverage"]
    order = sorted(found, key=lambda name: -found[name]["coverage"])
    listed = ", ".join(f"{name.replace('_', ' ')} {100 * found[name]['coverage']:.1f}" for name in order)
    error = 100 * 2 * math.sqrt(LEVEL * (1 - LEVEL) / options["simulations"])
    return (
        f"How often such intervals hold, in {options['simulations']} simulated test sets of {options['images']} "
        f"images, in percent (95 promised, the simulation errs by {error:.1f}): {listed}. Made by "
        "`python -m benchmarks.coverage`."
    )


if __name__ == "__main__":
    sys.exit(main())
