"""The result of a cross-validation as tables for people."""

from __future__ import annotations

import math

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.results.formatting import format_interval, format_spread, format_value
from medmamba_monai.evaluation.statistics.abstention import ANSWERED
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.thresholds import RATES, OperatingPoint
from medmamba_monai.evaluation.tables import Table

CLASS_COLUMNS = ("sensitivity", "specificity", "precision", "f1", "auc", "average_precision")
"""The metrics that the table of the classes has room for; the files have all of them."""


def make_metrics_table(result: CrossValidationResult) -> Table:
    """Lay out every metric: mean and standard deviation over the folds, the combination and its interval."""
    rows = []
    for name in result.metrics:
        values = [fold[name] for fold in result.fold_metrics.values()]
        rows.append(
            [
                CATALOGUE[name].title,
                format_spread(name, values),
                format_value(name, result.metrics[name]),
                format_interval(name, result.intervals.metrics[name]),
            ]
        )
    folds = "mean ± std of the folds" if len(result.fold_metrics) > 1 else "the one fold"
    return Table(["test", folds, result.combination, "95 % interval"], rows)


def make_folds_table(result: CrossValidationResult) -> Table:
    """Lay out accuracy and AUC of each fold on its test part, with intervals."""
    rows = []
    for fold, values in result.fold_metrics.items():
        row = [f"fold {fold}"]
        for name in ("accuracy", "auc"):
            row += [format_value(name, values[name]), format_interval(name, result.fold_intervals[fold][name])]
        rows.append(row)
    return Table(["test", "accuracy (%)", "95 % interval", "AUC", "95 % interval"], rows, "Each fold's own model")


def make_classes_table(result: CrossValidationResult) -> Table:
    """Lay out each class, or label, of the combination."""
    kind = "label" if result.task == "multi-label" else "class"
    counts = result.combined_predictions.class_counts
    rows = [
        [of, str(counts[index]), *(_format_class_value(result, name, index) for name in CLASS_COLUMNS)]
        for index, of in enumerate(result.class_names)
    ]
    caption = f"Each {kind} against the rest: {result.combination}, with 95 % intervals"
    return Table([kind, "images", *(CATALOGUE[name].title for name in CLASS_COLUMNS)], rows, caption)


def make_operating_points_table(result: CrossValidationResult) -> Table | None:
    """Lay out sensitivity and specificity at the thresholds that validation chose; None of a task without them."""
    points = result.operating_points
    if points is None:
        return None
    names = result.class_names if result.task == "multi-label" else [result.class_names[1]]
    rows = []
    for rule, found in points.combined.items():
        for index, (name, point) in enumerate(zip(names, found, strict=True)):
            threshold = f"{points.thresholds[rule][index]:.4f}" if points.thresholds else "of each fold"
            rows.append([f"{name}: {rule}", threshold, *_format_point(point)])
    header = ["chosen on validation", "threshold", "sensitivity (%)", "specificity (%)", "PPV (%)", "NPV (%)"]
    return Table(header, rows, f"{result.combination.capitalize()} on test images")


def make_calibration_table(result: CrossValidationResult) -> Table:
    """Lay out the calibration of the combination before and after temperature scaling."""
    scaling = result.calibration
    rows = [
        [CATALOGUE[name].title, format_value(name, scaling.before[name]), format_value(name, scaling.after[name])]
        for name in scaling.before
    ]
    return Table(["test", "as trained", "after temperature scaling"], rows)


def make_sets_table(result: CrossValidationResult) -> Table | None:
    """Lay out how often prediction sets hold the truth, and how large they are; None of a task without them."""
    if result.prediction_sets is None:
        return None
    rows = []
    for found in result.prediction_sets:
        limits = {name: _format_limits(name, found.intervals[name]) for name in ("coverage", "size")}
        worst = min(value for value in found.class_coverage if not math.isnan(value))
        rows.append(
            [
                f"{found.kind}, {found.level:.0%}",
                f"{100 * found.values['coverage']:.1f}\n{limits['coverage']}",
                f"{100 * worst:.1f}",
                f"{found.values['size']:.2f}\n{limits['size']}",
                f"{100 * found.values['single']:.1f}",
                f"{100 * found.values['empty']:.1f}",
            ]
        )
    header = ["sets", "hold the truth (%)", "worst class (%)", "mean size", "one class (%)", "empty (%)"]
    return Table(header, rows, f"Test images, of {len(result.class_names)} classes, with 95 % intervals")


def make_abstention_table(result: CrossValidationResult) -> Table | None:
    """Lay out the errors where the most doubtful images are left to a person; None of a task without one class."""
    curve = result.abstention
    if curve is None:
        return None
    rows = [[f"{share:.0%}", f"{100 * curve.find_error(share):.2f}"] for share in ANSWERED]
    return Table(["answered", "errors among them (%)"], rows, f"{result.combination.capitalize()}, the surest first")


def _format_limits(name: str, interval: Interval | str) -> str:
    if isinstance(interval, str):
        return "–"
    scale, digits = (100, 1) if name == "coverage" else (1, 2)
    return f"{scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f}"


def _format_class_value(result: CrossValidationResult, name: str, index: int) -> str:
    limits = format_interval(name, result.intervals.classes[name][index], "–")
    return f"{format_value(name, result.class_metrics[name][index])}\n{limits}"


def _format_point(point: OperatingPoint) -> list[str]:
    values = [getattr(point, name) for name in RATES]
    return ["-" if value is None else f"{100 * value:.2f}" for value in values]
