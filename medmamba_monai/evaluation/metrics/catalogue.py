"""The catalogue of metrics, one row each: everything that is computed, shown, written and logged is read off it.

To add a metric, add a row: it then stands in the result of a cross-validation with its interval, in the tables and the
report, in JSON, CSV and MLflow, and in configs by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics import calibration, confusion, ranking, weighted
from medmamba_monai.evaluation.metrics.weighted import WeightedMetric, average_classes, average_ranked
from medmamba_monai.evaluation.scores import TASKS, Scores, Task

_SINGLE_LABEL: tuple[Task, ...] = ("binary", "multi-class", "ordinal")


@dataclass(frozen=True)
class ClassMetric:
    """A metric of each class against the rest.

    Attributes:
        compute: the exact function, of C floats in the order of the classes.
        weighted: the same for R weightings of the images, (C, R), NaN where it is not defined.
    """

    compute: Callable[[Scores], list[float]]
    weighted: WeightedMetric


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of the catalogue.

    Attributes:
        name: its key in files, in MLflow and in configs: letters, digits and underscores.
        label: what readers see, without the unit.
        compute: the exact function; it raises `UserError` where the metric is not defined.
        weighted: the same for R weightings of the images, (R,), NaN where it is not defined; for the bootstrap.
        of_class: the metric of each class, where it has one.
        in_percent: whether readers see it in percent, else as a fraction.
        in_paper: whether it is one of the six that the paper reports (section 3.2).
        tasks: those that have it.
        without_interval: why it gets no interval, where it gets none.
    """

    name: str
    label: str
    compute: Callable[[Scores], float]
    weighted: WeightedMetric
    of_class: ClassMetric | None = None
    in_percent: bool = False
    in_paper: bool = False
    tasks: tuple[Task, ...] = TASKS
    without_interval: str = ""

    @property
    def title(self) -> str:
        """What readers see above its values."""
        return f"{self.label} (%)" if self.in_percent else self.label


# Measured on simulated models: BCa intervals of the calibration error held in about 70 % of cases at 600 images and an
# error of 0.04.
_INFLATED = "resampling inflates it, and intervals of it hold less often than they promise where models are calibrated"

_ROWS = (
    Metric(
        name="accuracy",
        label="accuracy",
        compute=confusion.accuracy,
        weighted=weighted.accuracy,
        in_percent=True,
        in_paper=True,
    ),
    Metric(
        name="precision",
        label="precision",
        compute=confusion.precision,
        weighted=average_classes(weighted.class_precision),
        of_class=ClassMetric(confusion.class_precision, weighted.class_precision),
        in_percent=True,
        in_paper=True,
    ),
    Metric(
        name="sensitivity",
        label="sensitivity",
        compute=confusion.sensitivity,
        weighted=average_classes(weighted.class_sensitivity),
        of_class=ClassMetric(confusion.class_sensitivity, weighted.class_sensitivity),
        in_percent=True,
        in_paper=True,
    ),
    Metric(
        name="specificity",
        label="specificity",
        compute=confusion.specificity,
        weighted=average_classes(weighted.class_specificity),
        of_class=ClassMetric(confusion.class_specificity, weighted.class_specificity),
        in_percent=True,
        in_paper=True,
    ),
    Metric(
        name="f1",
        label="F1",
        compute=confusion.f1,
        weighted=average_classes(weighted.class_f1),
        of_class=ClassMetric(confusion.class_f1, weighted.class_f1),
        in_percent=True,
        in_paper=True,
    ),
    Metric(
        name="auc",
        label="AUC",
        compute=ranking.auc,
        weighted=average_ranked(weighted.class_auc),
        of_class=ClassMetric(ranking.class_auc, weighted.class_auc),
        in_paper=True,
    ),
    Metric(
        name="average_precision",
        label="average precision",
        compute=ranking.average_precision,
        weighted=average_ranked(weighted.class_average_precision),
        of_class=ClassMetric(ranking.class_average_precision, weighted.class_average_precision),
    ),
    Metric(
        name="balanced_accuracy",
        label="balanced accuracy",
        compute=confusion.balanced_accuracy,
        weighted=weighted.balanced_accuracy,
        of_class=ClassMetric(confusion.class_balanced_accuracy, weighted.class_balanced_accuracy),
        in_percent=True,
    ),
    Metric(
        name="kappa",
        label="Cohen's kappa",
        compute=confusion.kappa,
        weighted=weighted.kappa,
        tasks=_SINGLE_LABEL,
    ),
    Metric(
        name="mcc",
        label="Matthews correlation",
        compute=confusion.mcc,
        weighted=weighted.mcc,
        of_class=ClassMetric(confusion.class_mcc, weighted.class_mcc),
    ),
    Metric(
        name="brier",
        label="Brier score",
        compute=calibration.brier_score,
        weighted=weighted.brier_score,
        of_class=ClassMetric(calibration.class_brier_score, weighted.class_brier_score),
    ),
    Metric(
        name="ece",
        label="expected calibration error",
        compute=calibration.expected_calibration_error,
        weighted=weighted.expected_calibration_error,
        without_interval=_INFLATED,
    ),
    Metric(
        name="log_loss",
        label="log loss",
        compute=calibration.log_loss,
        weighted=weighted.log_loss,
    ),
)

CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in _ROWS}
"""Every metric by its name, in the order in which metrics are shown."""

METRICS = tuple(metric.name for metric in _ROWS if metric.in_paper)
"""The six metrics of the paper, in its order."""

CLASS_METRICS = tuple(metric.name for metric in _ROWS if metric.in_paper and metric.of_class)
"""Those of the six that one class has against the rest."""


def list_metrics(task: str) -> tuple[str, ...]:
    """Return the names of all metrics that a task has, in the order of the catalogue.

    Raises:
        UserError: for an unknown task.
    """
    known = check_choice(task, TASKS, "task")
    return tuple(metric.name for metric in CATALOGUE.values() if known in metric.tasks)


def list_class_metrics(task: str) -> tuple[str, ...]:
    """Return the names of those that a task has of each class.

    Raises:
        UserError: for an unknown task.
    """
    return tuple(name for name in list_metrics(task) if CATALOGUE[name].of_class)


def find_metric(name: str, task: str) -> Metric:
    """Return a metric of a task.

    Raises:
        UserError: an unknown task, or a metric that it does not have.
    """
    if name not in (known := list_metrics(task)):
        raise UserError(f"a {task} task has no metric {name!r}: choose one of {', '.join(known)}")
    return CATALOGUE[name]
