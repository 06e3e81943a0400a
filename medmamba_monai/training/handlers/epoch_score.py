"""Validation scores from all probabilities of an epoch, gathered over processes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric

from medmamba_monai.evaluation.metrics.catalogue import find_metric


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
    batches and all processes, also where their numbers of samples differ, and computes a metric of them.

    Args:
        metric: name of a metric in the catalogue, such as ``auc`` or ``log_loss``; or a function of probabilities
            (samples, classes) and labels (samples,), of a multi-label task (samples, classes), that returns a number.
        task: the dataset's task, which decides how the metric is computed.
        output_transform: what makes (probabilities, labels) of ``engine.state.output``.

    Raises:
        UserError: the task has no metric of this name.
    """

    def __init__(
        self,
        metric: str | Callable[[np.ndarray, np.ndarray], float],
        task: str = "multi-class",
        output_transform: Callable[[Any], Any] = probabilities_and_labels,
    ) -> None:
        score = functools.partial(find_metric(metric, task).compute, task=task) if isinstance(metric, str) else metric
        super().__init__(metric_fn=_GatheredScore(score), output_transform=output_transform)
