"""Validation scores from all probabilities of an epoch, gathered over processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric


def probabilities_and_labels(output: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack what MONAI's evaluator leaves in ``engine.state.output``.

    Args:
        output: decollated samples with ``pred``, the probabilities (classes,), and ``label``, a whole number or a
            tensor; of a multi-label task zeros and ones (classes,).

    Returns:
        Probabilities (samples, classes) and labels (samples,), of a multi-label task (samples, classes).
    """
    probabilities = torch.stack([torch.as_tensor(item["pred"]) for item in output])
    labels = torch.stack([torch.as_tensor(item["label"]) for item in output])
    return probabilities, labels


class _GatheredScore(CumulativeIterationMetric):
    def __init__(self, score: Callable[[np.ndarray, np.ndarray], float]) -> None:
        super().__init__()
        self.score = score

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> Any:  # type: ignore[override]
        return y_pred, y

    def aggregate(self) -> float:
        probabilities, labels = self.get_buffer()
        return float(self.score(probabilities.cpu().double().numpy(), labels.cpu().numpy()))


class EpochScore(IgniteMetricHandler):
    """A score computed once an epoch from all samples, not averaged over batches.

    Averages per batch are wrong for AUC and for every macro metric. This gathers (probabilities, labels) of all
    batches and all processes, also where their numbers of samples differ, and calls a function of
    `medmamba_monai.evaluation.metrics.paper`.

    Args:
        score: function of probabilities (samples, classes) and labels (samples,), of a multi-label task
            (samples, classes), that returns a number; ``functools.partial(metrics.auc, task=...)`` for another task
            than multi-class.
        output_transform: what makes (probabilities, labels) of ``engine.state.output``.
    """

    def __init__(
        self,
        score: Callable[[np.ndarray, np.ndarray], float],
        output_transform: Callable[[Any], Any] = probabilities_and_labels,
    ) -> None:
        super().__init__(metric_fn=_GatheredScore(score), output_transform=output_transform)
