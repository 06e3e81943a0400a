"""A review as JSON and CSV, in full precision, and as tables for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from medmamba_monai.evaluation.metrics.review import REVIEW_CLASS_METRICS, metric_names
from medmamba_monai.evaluation.results.review import Review
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.thresholds import OperatingPoint
from medmamba_monai.evaluation.tables import Table

TITLES = {
    "accuracy": "accuracy (%)",
    "precision": "precision (%)",
    "sensitivity": "sensitivity (%)",
    "specificity": "specificity (%)",
    "f1": "F1 (%)",
    "auc": "AUC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy (%)",
    "kappa": "Cohen's kappa",
    "mcc": "Matthews correlation",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "log_loss": "log loss",
}
"""The metrics as readers see them; percent where the paper has it."""

_RATES = ("sensitivity", "specificity", "ppv", "npv")


def in_percent(name: str) -> bool:
    """Whether readers see a metric in percent."""
    return TITLES[name].endswith("(%)")


def shown(name: str, value: float) -> str:
    """A value for readers."""
    return f"{100 * value:.2f}" if in_percent(name) else f"{value:.4f}"


def shown_spread(name: str, values: Sequence[float]) -> str:
    """Mean and sample standard deviation (n - 1) for readers; of a single value itself."""
    spread = f" ± {shown(name, stdev(values))}" if len(values) > 1 else ""
    return shown(name, fmean(values)) + spread


def shown_interval(name: str, interval: Interval | str) -> str:
    """An interval for readers, a dash where there is none."""
    if isinstance(interval, str):
        return "-"
    return f"{shown(name, interval.low)} to {shown(name, interval.high)}"


def review_values(review: Review) -> dict[str, float]:
    """Numbers by their names in MLflow: ``ensemble/kappa``, ``ensemble_interval/auc_low``, ``calibrated/ece``, ...

    Metrics that the summary of the cross-validation logs already have the same name and the same value.
    """
    prefix = review.combination
    values = {f"{prefix}/{name}": value for name, value in review.metrics.items()}
    for name, interval in review.intervals.metrics.items():
        if isinstance(interval, Interval):
            values |= {f"{prefix}_interval/{name}_low": interval.low, f"{prefix}_interval/{name}_high": interval.high}
    values |= {f"calibrated/{name}": value for name, value in review.calibration.after.items()}
    if review.validation is not None:
        values |= {f"validation_pooled/{name}": value for name, value in review.validation.items()}
    return values


def review_json(review: Review) -> dict[str, Any]:
    """Everything, as plain values that JSON carries."""
    points, calibration = review.operating_points, review.calibration
    return {
        "task": review.task,
        "class_names": list(review.class_names),
        "combination": review.combination,
        "bootstrap": asdict(review.intervals.resampling),
        "metrics": _with_intervals(review.metrics, review.intervals.metrics),
        "classes": {
            name: _with_intervals(
                {key: review.class_metrics[key][index] for key in REVIEW_CLASS_METRICS},
                {key: review.intervals.classes[key][index] for key in REVIEW_CLASS_METRICS},
            )
            for index, name in enumerate(review.class_names)
        },
        "folds": {
            str(fold): _with_intervals(values, review.fold_intervals[fold].metrics)
            for fold, values in review.fold_metrics.items()
        },
        "validation_pooled": review.validation,
        "operating_points": points
        and {
            "thresholds": points.thresholds,
            "combined": _points(points.combined, with_threshold=points.thresholds is not None),
            "folds": {str(fold): _points(value, with_threshold=True) for fold, value in points.folds.items()},
        },
        "calibration": {
            "temperatures": {str(fold): asdict(value) for fold, value in calibration.temperatures.items()},
            "before": dict(calibration.before),
            "after": dict(calibration.after),
        },
    }


def review_csv(review: Review) -> str:
    """The combination's metrics, and those of each class, with their intervals: a row each, in full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["of", "metric", "value", "low", "high"])
    for name, value in review.metrics.items():
        writer.writerow([review.combination, name, value, *_limits(review.intervals.metrics[name])])
    for index, of in enumerate(review.class_names):
        for name in REVIEW_CLASS_METRICS:
            limits = _limits(review.intervals.classes[name][index])
            writer.writerow([of, name, review.class_metrics[name][index], *limits])
    return buffer.getvalue()


def metrics_table(review: Review) -> Table:
    """Every metric: mean and standard deviation over the folds, the combination and its interval."""
    rows = []
    for name in metric_names(review.task):
        values = [fold[name] for fold in review.fold_metrics.values()]
        rows.append(
            [
                TITLES[name],
                shown_spread(name, values),
                shown(name, review.metrics[name]),
                shown_interval(name, review.intervals.metrics[name]),
            ]
        )
    folds = "mean ± std of the folds" if len(review.fold_metrics) > 1 else "the one fold"
    return Table(["test", folds, review.combination, "95 % interval"], rows)


def folds_table(review: Review) -> Table:
    """Accuracy and AUC of each fold on its test part, with intervals."""
    rows = []
    for fold, values in review.fold_metrics.items():
        row = [f"fold {fold}"]
        for name in ("accuracy", "auc"):
            row += [shown(name, values[name]), shown_interval(name, review.fold_intervals[fold].metrics[name])]
        rows.append(row)
    return Table(["test", "accuracy (%)", "95 % interval", "AUC", "95 % interval"], rows, "Each fold's own model")


def classes_table(review: Review) -> Table:
    """Each class, or label, of the combination."""
    kind = "label" if review.task == "multi-label" else "class"
    names = ("sensitivity", "specificity", "precision", "f1", "auc", "average_precision")
    counts = class_counts(review)
    rows = [
        [of, str(counts[index]), *(_of_class(review, name, index) for name in names)]
        for index, of in enumerate(review.class_names)
    ]
    caption = f"Each {kind} against the rest: {review.combination}, with 95 % intervals"
    return Table([kind, "images", *(TITLES[name] for name in names)], rows, caption)


def operating_points_table(review: Review) -> Table | None:
    """Sensitivity and specificity at the thresholds that validation chose; None of a task without them."""
    points = review.operating_points
    if points is None:
        return None
    names = review.class_names if review.task == "multi-label" else [review.class_names[1]]
    rows = []
    for rule, found in points.combined.items():
        for index, (name, point) in enumerate(zip(names, found, strict=True)):
            threshold = f"{points.thresholds[rule][index]:.4f}" if points.thresholds else "of each fold"
            rows.append([f"{name}: {rule}", threshold, *_shown_point(point)])
    header = ["chosen on validation", "threshold", "sensitivity (%)", "specificity (%)", "PPV (%)", "NPV (%)"]
    return Table(header, rows, f"{review.combination.capitalize()} on test images")


def calibration_table(review: Review) -> Table:
    """Calibration of the combination before and after temperature scaling."""
    scaling = review.calibration
    rows = [
        [TITLES[name], shown(name, scaling.before[name]), shown(name, scaling.after[name])] for name in scaling.before
    ]
    return Table(["test", "as trained", "after temperature scaling"], rows)


def class_counts(review: Review) -> list[int]:
    """How many test images each class has, or have each label."""
    labels = review.combined.labels
    if labels.ndim == 2:
        return [int(count) for count in labels.sum(axis=0)]
    return [int((labels == index).sum()) for index in range(len(review.class_names))]


def _of_class(review: Review, name: str, index: int) -> str:
    interval = review.intervals.classes[name][index]
    limits = "-" if isinstance(interval, str) else f"{shown(name, interval.low)}–{shown(name, interval.high)}"
    return f"{shown(name, review.class_metrics[name][index])}\n{limits}"


def _shown_point(point: OperatingPoint) -> list[str]:
    values = [getattr(point, name) for name in _RATES]
    return ["-" if value is None else f"{100 * value:.2f}" for value in values]


def _points(points: Mapping[str, Sequence[OperatingPoint]], with_threshold: bool) -> dict[str, list[dict[str, Any]]]:
    """Counts and rates; pooled folds have no threshold in common."""
    left_out = () if with_threshold else ("threshold",)
    return {
        rule: [{name: value for name, value in _point(point).items() if name not in left_out} for point in found]
        for rule, found in points.items()
    }


def _point(point: OperatingPoint) -> dict[str, Any]:
    return {**asdict(point), **{name: getattr(point, name) for name in _RATES}}


def _with_intervals(values: Mapping[str, float], intervals: Mapping[str, Interval | str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        interval = intervals[name]
        limits = (
            {"no_interval": interval} if isinstance(interval, str) else {"low": interval.low, "high": interval.high}
        )
        found[name] = {"value": value, **limits}
    return found


def _limits(interval: Interval | str) -> list[object]:
    return ["", ""] if isinstance(interval, str) else [interval.low, interval.high]
