"""The result of a cross-validation as plain values, and read back: JSON, CSV, and numbers by their names in MLflow."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.evaluation.predictions import COMBINATIONS, read_predictions
from medmamba_monai.evaluation.results.classes import name_class_aucs
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.scores import TASKS
from medmamba_monai.evaluation.statistics.abstention import ANSWERED
from medmamba_monai.evaluation.statistics.bootstrap import MetricIntervals
from medmamba_monai.evaluation.statistics.prediction_sets import KINDS, SetSummary
from medmamba_monai.evaluation.statistics.resampling import Interval, Resampling
from medmamba_monai.evaluation.statistics.thresholds import RATES, OperatingPoint


def name_summary_values(result: CrossValidationResult) -> dict[str, float]:
    """Name the paper's metrics for MLflow: ``test/auc_mean``, ``test/auc_std``, ``ensemble/auc``, ...

    Of a multi-label task also the AUC of each label: ``test_auc/hernia_mean``, ``ensemble_auc/hernia``, ...
    """
    values: dict[str, float] = {}
    for prefix, summary in (("test", result.test), ("validation_best", result.best_validation)):
        values |= {f"{prefix}/{name}_mean": value for name, value in summary.mean.items()}
        values |= {f"{prefix}/{name}_std": value for name, value in summary.standard_deviation.items()}
    if result.test.combined is not None:
        values |= {f"{result.combination}/{name}": value for name, value in result.test.combined.items()}
        if result.task == "multi-label":
            values |= name_class_aucs(result.classes)
    return {**values, "folds_finished": float(len(result.folds))}


def name_all_values(result: CrossValidationResult) -> dict[str, float]:
    """Name all metrics and intervals for MLflow: ``ensemble/kappa``, ``ensemble_interval/auc_low``, ...

    Calibration after temperature scaling is ``calibrated/ece``, the folds' validation ``validation_pooled/auc``, the
    coverage of prediction sets ``sets/coverage_at_0.9``, the area of the abstention curve ``abstention/area``.
    Those that `name_summary_values` has too have the same name and the same value.
    """
    prefix = result.combination
    values = {f"{prefix}/{name}": value for name, value in result.metrics.items()}
    for name, interval in result.intervals.metrics.items():
        if isinstance(interval, Interval):
            values |= {f"{prefix}_interval/{name}_low": interval.low, f"{prefix}_interval/{name}_high": interval.high}
    values |= {f"calibrated/{name}": value for name, value in result.calibration.after.items()}
    for found in result.prediction_sets or ():
        if found.kind == next(iter(KINDS)):
            values |= {f"sets/{name}_at_{found.level:g}": found.values[name] for name in ("coverage", "size")}
    if result.abstention is not None:
        values["abstention/area"] = result.abstention.area
    if result.validation is not None:
        values |= {f"validation_pooled/{name}": value for name, value in result.validation.items()}
    return values


def describe_result(result: CrossValidationResult) -> dict[str, Any]:
    """Return everything as plain values that JSON carries."""
    points, calibration = result.operating_points, result.calibration
    return {
        "task": result.task,
        "class_names": list(result.class_names),
        "combination": result.combination,
        "bootstrap": asdict(result.intervals.resampling),
        "metrics": _join_intervals(result.metrics, result.intervals.metrics),
        "classes": {
            name: _join_intervals(
                {key: column[index] for key, column in result.class_metrics.items()},
                {key: column[index] for key, column in result.intervals.classes.items()},
            )
            for index, name in enumerate(result.class_names)
        },
        "folds": {
            str(fold): _join_intervals(values, result.fold_intervals[fold])
            for fold, values in result.fold_metrics.items()
        },
        "validation_pooled": result.validation,
        "operating_points": points
        and {
            "thresholds": points.thresholds,
            "combined": _describe_points(points.combined, with_threshold=points.thresholds is not None),
            "folds": {str(fold): _describe_points(value, with_threshold=True) for fold, value in points.folds.items()},
        },
        "calibration": {
            "temperatures": {str(fold): asdict(value) for fold, value in calibration.temperatures.items()},
            "before": dict(calibration.before),
            "after": dict(calibration.after),
        },
        "prediction_sets": result.prediction_sets and [_describe_sets(found) for found in result.prediction_sets],
        "abstention": result.abstention
        and {
            "area": result.abstention.area,
            "errors": {str(share): result.abstention.find_error(share) for share in ANSWERED},
        },
    }


def format_result_csv(result: CrossValidationResult) -> str:
    """Write the combination's metrics, and those of each class, with their intervals: a row each, in full precision."""
    intervals = result.intervals
    rows: list[list[object]] = [
        [result.combination, name, value, *_list_limits(intervals.metrics[name])]
        for name, value in result.metrics.items()
    ]
    for index, of in enumerate(result.class_names):
        for name, values in result.class_metrics.items():
            rows.append([of, name, values[index], *_list_limits(intervals.classes[name][index])])
    return format_csv(["of", "metric", "value", "low", "high"], rows)


def read_result(directory: str | os.PathLike[str]) -> CrossValidationResult:
    """Read the result that a cross-validation left in its folder; intervals are read, not computed again.

    How many resamples an interval left out is not in the files: `Interval.left_out` is 0 of all that are read.

    Args:
        directory: folder of the cross-validation.

    Raises:
        UserError: the folder holds no finished result, or its files cannot be read.
    """
    folder = RunFolder(directory)
    saved, described = _read_json(folder.review), _read_json(folder.description)
    task, names = check_choice(saved["task"], TASKS, "task"), tuple(saved["class_names"])
    folds = {int(fold): read_predictions(folder.fold(int(fold)).predictions, task, names) for fold in saved["folds"]}
    reasons = {int(fold): reason for fold, reason in described["failures"].items()}
    result = CrossValidationResult(
        task=task,
        class_names=names,
        combination=check_choice(saved["combination"], COMBINATIONS, "combination"),
        num_folds=described.get("num_folds", max([*folds, *reasons]) + 1),
        folds=folds,
        reasons=reasons,
        resamples=saved["bootstrap"]["resamples"],
        seed=saved["bootstrap"]["seed"],
        directory=folder.path,
    )
    return result.keep_intervals(
        _parse_all_intervals(saved), {int(fold): _parse_intervals(cells) for fold, cells in saved["folds"].items()}
    )


def _describe_points(
    points: Mapping[str, Sequence[OperatingPoint]], with_threshold: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return counts and rates; pooled folds have no threshold in common."""
    left_out = () if with_threshold else ("threshold",)
    return {
        rule: [
            {name: value for name, value in _describe_point(point).items() if name not in left_out} for point in found
        ]
        for rule, found in points.items()
    }


def _describe_point(point: OperatingPoint) -> dict[str, Any]:
    return {**asdict(point), **{name: getattr(point, name) for name in RATES}}


def _describe_sets(found: SetSummary) -> dict[str, Any]:
    classes = [None if math.isnan(value) else value for value in found.class_coverage]
    return {
        "kind": found.kind,
        "level": found.level,
        **_join_intervals(found.values, found.intervals),
        "class_coverage": classes,
    }


def _join_intervals(values: Mapping[str, float], intervals: Mapping[str, Interval | str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        interval = intervals[name]
        limits = (
            {"no_interval": interval} if isinstance(interval, str) else {"low": interval.low, "high": interval.high}
        )
        found[name] = {"value": value, **limits}
    return found


def _list_limits(interval: Interval | str) -> list[object]:
    return ["", ""] if isinstance(interval, str) else [interval.low, interval.high]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); a cross-validation writes it when it has finished"
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: not the JSON that a cross-validation writes ({error}); was it edited?") from error


def _parse_all_intervals(saved: Mapping[str, Any]) -> MetricIntervals:
    by_class = [_parse_intervals(cells) for cells in saved["classes"].values()]
    return MetricIntervals(
        resampling=Resampling(**saved["bootstrap"]),
        metrics=_parse_intervals(saved["metrics"]),
        classes={name: [intervals[name] for intervals in by_class] for name in by_class[0]},
    )


def _parse_intervals(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Interval | str]:
    return {
        name: cell["no_interval"] if "no_interval" in cell else Interval(cell["low"], cell["high"])
        for name, cell in cells.items()
    }
