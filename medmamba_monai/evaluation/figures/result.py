"""The figures that are made of predictions alone: of one fold, or of all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medmamba_monai.evaluation.figures.abstention import draw_abstention
from medmamba_monai.evaluation.figures.curves import draw_precision_recall, draw_roc
from medmamba_monai.evaluation.figures.reliability import Bins, draw_reliability
from medmamba_monai.evaluation.figures.style import save_figure
from medmamba_monai.evaluation.metrics.calibration import ReliabilityCurve
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.statistics.abstention import trace_abstention
from medmamba_monai.evaluation.statistics.resampling import Interval


def save_curves(
    folds: Sequence[Predictions],
    combined: Predictions,
    title: str,
    directory: Path,
    name: str,
    intervals: Mapping[str, Interval | str] | None = None,
) -> list[Path]:
    """Draw and save ``roc_<name>`` and ``precision_recall_<name>``.

    Args:
        folds: predictions of the same part by each fold, or of the one model that there is.
        combined: their combination, or those of the one model again.
        title: what was evaluated.
        directory: folder of the files.
        name: end of their names.
        intervals: of the combination's metrics.

    Returns:
        The paths of the PNG and SVG files.
    """
    paths: list[Path] = []
    for stem, metric, draw in (
        ("roc", "auc", draw_roc),
        ("precision_recall", "average_precision", draw_precision_recall),
    ):
        interval = (intervals or {}).get(metric)
        limits = (interval.low, interval.high) if isinstance(interval, Interval) else None
        figure = draw(folds, combined, combined.class_names, title, combination=name, interval=limits)
        paths += save_figure(figure, directory / f"{stem}_{name}")
    return paths


def save_result_figures(result: CrossValidationResult, title: str, directory: Path) -> list[Path]:
    """Draw and save the curves of all folds and of their combination, and the reliability of the latter.

    Of a task with one class an image also its errors where doubtful images are not answered.

    Returns:
        The paths of the PNG and SVG files.
    """
    name, scaling, combined = result.combination, result.calibration, result.combined_predictions
    paths = save_curves(list(result.tested.values()), combined, title, directory, name, result.intervals.metrics)
    figure = draw_reliability(
        _list_bins(scaling.curve_before),
        _list_bins(scaling.curve_after),
        title,
        ece_before=scaling.before["ece"],
        ece_after=scaling.after["ece"],
    )
    paths += save_figure(figure, directory / f"reliability_{name}")
    if result.abstention is not None:
        figure = draw_abstention(
            [trace_abstention(part) for part in result.tested.values()], result.abstention, title, name
        )
        paths += save_figure(figure, directory / f"abstention_{name}")
    return paths


def _list_bins(curve: ReliabilityCurve) -> Bins:
    return curve.probability, curve.observed, curve.count
