"""What the evaluation of a fold leaves in files and in MLflow, whatever made its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.metrics.catalogue import METRICS, list_metrics
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.predictions import Predictions, write_predictions
from medmamba_monai.evaluation.results.classes import describe_classes, make_metric_keys

METRIC_PREFIX = {"validation": "validation_best", "test": "test"}
"""How the metrics of the two parts are named in MLflow; ``validation/...`` are the curves of the training."""


def write_evaluation(folder: RunFolder, predictions: Predictions) -> dict[str, dict[str, Any]]:
    """Write ``predictions.csv`` and ``metrics.json`` of a fold.

    Args:
        folder: where to.
        predictions: of its validation and test part.

    Returns:
        For each part the six metrics, Cohen's kappa (not of several labels) and, in ``per_class``, the metrics and
        counts of each class by its name.
    """
    write_predictions(folder.predictions, predictions)
    parts = {part: predictions.select(part) for part in dict.fromkeys(predictions.parts)}
    reported = [name for name in (*METRICS, "kappa") if name in list_metrics(predictions.task)]
    metrics: dict[str, dict[str, Any]] = {
        part: {**compute_metrics(found, reported), "per_class": describe_classes(found)}
        for part, found in parts.items()
    }
    write_json(folder.metrics, metrics)
    return metrics


def name_evaluation_values(metrics: Mapping[str, Mapping[str, Any]], predictions: Predictions) -> dict[str, float]:
    """Return what MLflow gets: the six metrics of each part, and of a multi-label task the AUC of each label.

    Args:
        metrics: as `write_evaluation` returns them.
        predictions: what they are of.
    """
    values: dict[str, float] = {}
    for part, found in metrics.items():
        values |= {f"{METRIC_PREFIX[part]}/{name}": found[name] for name in METRICS}
        if predictions.task == "multi-label":
            aucs = zip(make_metric_keys(predictions.class_names), found["per_class"].values(), strict=True)
            values |= {f"{METRIC_PREFIX[part]}_auc/{key}": label["auc"] for key, label in aucs}
    return values
