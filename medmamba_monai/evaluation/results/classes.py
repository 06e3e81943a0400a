"""The classes one by one, or the labels of a multi-label task: by their names, over the folds."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import CLASS_METRICS
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics
from medmamba_monai.evaluation.metrics.confusion import confusion_counts
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.scores import FloatArray

_KEY_LETTERS = 60


def describe_classes(predictions: Predictions) -> dict[str, dict[str, float]]:
    """Compute what is known of each class against the rest.

    Returns:
        For each class name the values of `CLASS_METRICS` and the counts ``tp``, ``fp``, ``fn`` and ``tn``.

    Raises:
        UserError: a class has no sample.
    """
    values: Mapping[str, Sequence[float]] = {
        **compute_class_metrics(predictions, CLASS_METRICS),
        **confusion_counts(predictions),
    }
    return {
        name: {key: column[index] for key, column in values.items()}
        for index, name in enumerate(predictions.class_names)
    }


def make_metric_keys(class_names: Sequence[str]) -> list[str]:
    """Turn names into keys that MLflow takes: lower-case ASCII letters, digits and underscores, all different.

    Example:
        >>> make_metric_keys(["Nodule (blob)", "Ödem", "肺炎", "nodule blob"])
        ['nodule_blob', 'odem', 'class_2', 'nodule_blob_3']
    """
    keys: list[str] = []
    for index, name in enumerate(class_names):
        ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        key = re.sub(r"[^a-z0-9]+", "_", ascii_name.lower()).strip("_")[:_KEY_LETTERS] or f"class_{index}"
        taken = itertools.count(index)
        unique = key
        while unique in keys:
            unique = f"{key}_{next(taken)}"
        keys.append(unique)
    return keys


@dataclass(frozen=True)
class ClassSummary:
    """The metrics of each class over the folds of a cross-validation, and of their combination.

    Attributes:
        class_names: C names.
        folds: `CLASS_METRICS` of the finished folds.
        combined: `CLASS_METRICS` of the combination.
        images: how many of the combination's images have each class.
        combination: what `combined` is: `ensemble` or `pooled`.
        kind: what a row is: `class` or `label`.
    """

    class_names: Sequence[str]
    folds: Sequence[Mapping[str, Sequence[float]]]
    combined: Mapping[str, Sequence[float]]
    images: Sequence[int]
    combination: str
    kind: str

    def mean(self, metric: str) -> FloatArray:
        """Return the mean over the folds, of each class (C,)."""
        return np.mean([fold[metric] for fold in self.folds], axis=0)

    def standard_deviation(self, metric: str) -> FloatArray | None:
        """Return the sample standard deviation (n - 1) over the folds, of each class (C,); None of a single fold."""
        return np.std([fold[metric] for fold in self.folds], axis=0, ddof=1) if len(self.folds) > 1 else None


def summarize_classes(
    folds: Sequence[Predictions], combined: Predictions, combination: str = "ensemble"
) -> ClassSummary:
    """Compute the metrics of each class.

    Args:
        folds: the test predictions of each finished fold.
        combined: those of their combination.
        combination: what `combined` is.

    Raises:
        UserError: there is no fold, or a class without a sample.
    """
    if not folds:
        raise UserError("a summary of the classes needs at least one finished fold")
    return ClassSummary(
        class_names=combined.class_names,
        folds=[compute_class_metrics(fold, CLASS_METRICS) for fold in folds],
        combined=compute_class_metrics(combined, CLASS_METRICS),
        images=combined.class_counts,
        combination=combination,
        kind="label" if combined.task == "multi-label" else "class",
    )


def name_class_aucs(summary: ClassSummary) -> dict[str, float]:
    """Name the AUC of each class for MLflow, whose UI groups by what stands before the slash.

    Returns:
        ``test_auc/<key>_mean``, ``test_auc/<key>_std`` and ``ensemble_auc/<key>`` (or ``pooled_auc/<key>``).
    """
    columns = {"test_auc/{}_mean": summary.mean("auc"), f"{summary.combination}_auc/{{}}": summary.combined["auc"]}
    deviations = summary.standard_deviation("auc")
    if deviations is not None:
        columns["test_auc/{}_std"] = deviations
    keys = make_metric_keys(summary.class_names)
    return {
        pattern.format(key): float(value)
        for pattern, column in columns.items()
        for key, value in zip(keys, column, strict=True)
    }
