"""What a reviewer asks for beside the paper's six metrics, exact and by scikit-learn.

==================== ========================================== ====================================================
metric               binary, multi-class, ordinal               multi-label
==================== ========================================== ====================================================
`average_precision`  binary: of class 1; else the mean over the the mean over the labels
                     classes, each against the rest
`balanced_accuracy`  mean sensitivity of the classes            mean over the labels of (sensitivity+specificity)/2
`kappa`              Cohen's; of an ordinal task quadratic      absent: each label has one of its own
`mcc`                Matthews, for several classes (Gorodkin    mean over the labels
                     2004)
`brier`              binary: mean (p1 - y)^2, in [0, 1]; else   mean over the labels, in [0, 1]
                     summed over the classes, in [0, 2]
`ece`                see `medmamba_monai.evaluation.metrics.calibration`
`log_loss`           see `medmamba_monai.evaluation.metrics.paper`
==================== ========================================== ====================================================

Average precision is the step-wise sum over thresholds of precision times the gain in recall, without interpolation.
Probabilities, labels, tasks and predicted classes are those of `medmamba_monai.evaluation.metrics.paper`, and so is
the rule that every class must occur.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import (
    brier_score,
    class_brier_scores,
    expected_calibration_error,
    indicators,
)
from medmamba_monai.evaluation.metrics.paper import (
    CLASS_METRICS,
    METRICS,
    TASKS,
    all_metrics,
    check_scores,
    kappa,
    log_loss,
    per_class_metrics,
    predicted_labels,
)

REVIEW_METRICS = (*METRICS, "average_precision", "balanced_accuracy", "kappa", "mcc", "brier", "ece", "log_loss")
"""The keys of `review_metrics`; a multi-label task lacks `kappa`."""

REVIEW_CLASS_METRICS = (*CLASS_METRICS, "average_precision", "balanced_accuracy", "mcc", "brier")
"""The keys of `review_class_metrics`, of every task."""


def metric_names(task: str) -> tuple[str, ...]:
    """Those of `REVIEW_METRICS` that a task has, in their order.

    Raises:
        UserError: for an unknown task.
    """
    if task not in TASKS:
        raise UserError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    return tuple(name for name in REVIEW_METRICS if task != "multi-label" or name != "kappa")


def review_metrics(probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class") -> dict[str, float]:
    """Compute all metrics of a task at once.

    Args:
        probabilities: scores of B samples, see `medmamba_monai.evaluation.metrics.paper`.
        labels: their true classes.
        task: one of `medmamba_monai.evaluation.metrics.paper.TASKS`.

    Returns:
        A float for each name in `metric_names(task)`.

    Raises:
        UserError: for input that does not fit the task, or a class without a single sample.
    """
    per_class = review_class_metrics(probabilities, labels, task)
    values = {
        **all_metrics(probabilities, labels, task),
        "average_precision": _average_precision(per_class["average_precision"], task),
        "balanced_accuracy": float(np.mean(per_class[_balanced(task)])),
        "mcc": _matthews(probabilities, labels, task, per_class["mcc"]),
        "brier": brier_score(probabilities, labels, task),
        "ece": expected_calibration_error(probabilities, labels, task),
        "log_loss": log_loss(probabilities, labels, task),
    }
    if task != "multi-label":
        values["kappa"] = kappa(probabilities, labels, task)
    return {name: values[name] for name in metric_names(task)}


def review_class_metrics(
    probabilities: ArrayLike, labels: ArrayLike, task: str = "multi-class"
) -> dict[str, list[float]]:
    """Compute the metrics of each class against the rest.

    Balanced accuracy is the mean of sensitivity and specificity, the Brier score the mean squared distance of the
    class's own probability. MCC is 0 of a class that is always or never predicted.

    Args:
        probabilities: scores of B samples, see `medmamba_monai.evaluation.metrics.paper`.
        labels: their true classes.
        task: one of `medmamba_monai.evaluation.metrics.paper.TASKS`.

    Returns:
        For each name in `REVIEW_CLASS_METRICS` a list of C floats, in the order of the classes.

    Raises:
        UserError: for input that does not fit the task, or a class without a single sample.
    """
    basic = per_class_metrics(probabilities, labels, task)
    scores, truth = check_scores(probabilities, labels, task)
    target, predicted = (
        indicators(values, scores.shape[1]).T for values in (truth, predicted_labels(probabilities, task))
    )
    pairs = list(zip(target, predicted, strict=True))
    return {
        **basic,
        "average_precision": [float(sk.average_precision_score(*p)) for p in zip(target, scores.T, strict=True)],
        "balanced_accuracy": [float(sk.balanced_accuracy_score(*pair)) for pair in pairs],
        "mcc": [float(sk.matthews_corrcoef(*pair)) for pair in pairs],
        "brier": class_brier_scores(probabilities, labels, task),
    }


def _average_precision(per_class: list[float], task: str) -> float:
    return float(per_class[1] if task == "binary" else np.mean(per_class))


def _balanced(task: str) -> str:
    return "balanced_accuracy" if task == "multi-label" else "sensitivity"


def _matthews(probabilities: ArrayLike, labels: ArrayLike, task: str, per_class: list[float]) -> float:
    if task == "multi-label":
        return float(np.mean(per_class))
    return float(sk.matthews_corrcoef(np.asarray(labels), predicted_labels(probabilities, task)))
