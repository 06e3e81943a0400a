"""Validation scores from all probabilities of an epoch, gathered over processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric

from medmamba_monai.core.choices import check_choice
from medmamba_monai.evaluation.metrics.catalogue import find_metric
from medmamba_monai.evaluation.scores import TASKS, Scores, Task


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
    def __init__(self, compute: Callable[[Scores], float], task: Task) -> None:
        super().__init__()
        self.compute = compute
        self.task = task

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor) -> Any:  # type: ignore[override]
        return y_pred, y

    def aggregate(self) -> float:
        probabilities, labels = self.get_buffer()
        return float(self.compute(Scores(probabilities.cpu().double().numpy(), labels.cpu().numpy(), self.task)))


class EpochScore(IgniteMetricHandler):
    """A score computed once an epoch from all samples, not averaged over batches.

    Averages per batch are wrong for AUC and for every macro metric. This gathers (probabilities, labels) of all
    batches and all processes, also where their numbers of samples differ, and computes a metric of them.

    Args:
        metric: name of a metric in the catalogue, such as ``auc`` or ``log_loss``; or a function of
            `medmamba_monai.evaluation.Scores` that returns a number.
        task: the dataset's task, which decides how the metric is computed.
        output_transform: what makes (probabilities, labels) of ``engine.state.output``.

    Raises:
        UserError: the task has no metric of this name.
    """

    def __init__(
        self,
        metric: str | Callable[[Scores], float],
        task: Task = "multi-class",
        output_transform: Callable[[Any], Any] = probabilities_and_labels,
    ) -> None:
        compute = find_metric(metric, task).compute if isinstance(metric, str) else metric
        super().__init__(
            metric_fn=_GatheredScore(compute, check_choice(task, TASKS, "task")), output_transform=output_transform
        )
