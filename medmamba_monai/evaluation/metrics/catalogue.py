"""The metrics, one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics import calibration, paper


@dataclass(frozen=True)
class Metric:
    """A metric of all classes.

    Attributes:
        name: its key in files, in MLflow and in configs.
        compute: the function of probabilities, labels and task.
        tasks: those that have it.
    """

    name: str
    compute: Callable[..., float]
    tasks: tuple[str, ...] = paper.TASKS


CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", paper.accuracy),
        Metric("precision", paper.precision),
        Metric("sensitivity", paper.sensitivity),
        Metric("specificity", paper.specificity),
        Metric("f1", paper.f1),
        Metric("auc", paper.auc),
        Metric("kappa", paper.kappa, ("binary", "multi-class", "ordinal")),
        Metric("brier", calibration.brier_score),
        Metric("ece", calibration.expected_calibration_error),
        Metric("log_loss", paper.log_loss),
    )
}
"""Every metric by its name."""


def find_metric(name: str, task: str) -> Metric:
    """Return a metric of a task.

    Raises:
        UserError: an unknown task, or a metric that it does not have.
    """
    if task not in paper.TASKS:
        raise UserError(f"unknown task {task!r}: choose one of {', '.join(paper.TASKS)}")
    known = [metric.name for metric in CATALOGUE.values() if task in metric.tasks]
    if name not in known:
        raise UserError(f"a {task} task has no metric {name!r}: choose one of {', '.join(known)}")
    return CATALOGUE[name]
