"""An exported file beside the eager network: the largest difference, and how long each takes, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medmamba_monai.export.formats import Run

ROUNDS = 5


@dataclass(frozen=True)
class BatchComparison:
    """One size of batch.

    Attributes:
        images: in the batch.
        difference: largest of a probability; infinite where one is not a number.
        milliseconds: of a batch through the file, the median.
        eager_milliseconds: of the same batch through the network, the median.
        ratio: median of the ratios of each round.
    """

    images: int
    difference: float
    milliseconds: float
    eager_milliseconds: float
    ratio: float


@dataclass(frozen=True)
class Comparison:
    """All sizes of batch."""

    batches: tuple[BatchComparison, ...]

    @property
    def difference(self) -> float:
        """Largest difference of a probability."""
        return max(one.difference for one in self.batches)

    def describe(self) -> dict[str, Any]:
        """Return what the report says of it; differences that are infinite are null there."""
        rows = [
            {
                "images": one.images,
                "difference": one.difference if np.isfinite(one.difference) else None,
                "milliseconds": round(one.milliseconds, 3),
                "eager_milliseconds": round(one.eager_milliseconds, 3),
                "times_eager": round(one.ratio, 3),
            }
            for one in self.batches
        ]
        return {"difference": self.difference if np.isfinite(self.difference) else None, "batches": rows}


def compare_with_eager(
    run: Run, eager: nn.Module, images: Tensor, ready: Tensor, batches: Sequence[int], rounds: int = ROUNDS
) -> Comparison:
    """Compare on the first images of each size of batch, repeated where there are fewer.

    Args:
        run: an exported file.
        eager: what it came from.
        images: as the file takes them.
        ready: the same images as the network takes them.
        batches: sizes.
        rounds: of timing; 0 for a difference alone is none: at least 1.
    """
    return Comparison(tuple(_compare(run, eager, images, ready, size, rounds) for size in batches))


def _compare(run: Run, eager: nn.Module, images: Tensor, ready: Tensor, size: int, rounds: int) -> BatchComparison:
    chosen = torch.arange(size) % len(images)
    given, of_eager = images[chosen].numpy(), ready[chosen]
    with torch.inference_mode():
        expected, found = eager(of_eager).numpy(), run(given)
        pairs = [(_time(lambda: run(given)), _time(lambda: eager(of_eager))) for _ in range(rounds)]
    difference = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    return BatchComparison(
        size,
        float(difference) if np.isfinite(difference) else float("inf"),
        1e3 * statistics.median(pair[0] for pair in pairs),
        1e3 * statistics.median(pair[1] for pair in pairs),
        statistics.median(own / other for own, other in pairs),
    )


def _time(call: Callable[[], object]) -> float:
    """Return seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
