"""The classes one by one, or the labels of a multi-label task: by their names, over the folds, as tables."""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.paper import CLASS_METRICS, FloatArray, confusion_counts, per_class_metrics
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.tables import Table

_KEY_LETTERS = 60


def class_report(
    probabilities: ArrayLike, labels: ArrayLike, class_names: Sequence[str], task: str = "multi-class"
) -> dict[str, dict[str, float]]:
    """Compute what is known of each class against the rest.

    Args:
        probabilities: scores of B samples, see `medmamba_monai.evaluation.metrics.paper`.
        labels: their true classes.
        class_names: C different names.
        task: one of `medmamba_monai.evaluation.metrics.paper.TASKS`.

    Returns:
        For each name the values of `CLASS_METRICS` and the counts ``tp``, ``fp``, ``fn`` and ``tn``.

    Raises:
        UserError: for input that does not fit the task, a class without a sample, or names that do not fit.
    """
    values: Mapping[str, Sequence[float]] = {
        **per_class_metrics(probabilities, labels, task),
        **confusion_counts(probabilities, labels, task),
    }
    _require_names(class_names, len(values["auc"]))
    return {name: {key: column[index] for key, column in values.items()} for index, name in enumerate(class_names)}


def metric_keys(class_names: Sequence[str]) -> list[str]:
    """Turn names into keys that MLflow takes: lower-case ASCII letters, digits and underscores, all different.

    Example:
        >>> metric_keys(["Nodule (blob)", "Ödem", "肺炎", "nodule blob"])
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
        folds: `per_class_metrics` of the finished folds.
        combined: `per_class_metrics` of the combination.
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
        """Mean over the folds, of each class (C,)."""
        return np.mean([fold[metric] for fold in self.folds], axis=0)

    def standard_deviation(self, metric: str) -> FloatArray | None:
        """Sample standard deviation (n - 1) over the folds, of each class (C,); None of a single fold."""
        return np.std([fold[metric] for fold in self.folds], axis=0, ddof=1) if len(self.folds) > 1 else None


def class_summary(
    folds: Sequence[Predictions],
    combined: Predictions,
    class_names: Sequence[str],
    combination: str = "ensemble",
) -> ClassSummary:
    """Compute the metrics of each class.

    Args:
        folds: the test predictions of each finished fold.
        combined: those of their combination.
        class_names: C different names.
        combination: what `combined` is.

    Raises:
        UserError: there is no fold, a class without a sample, or names that do not fit.
    """
    if not folds:
        raise UserError("a summary of the classes needs at least one finished fold")
    _require_names(class_names, combined.probabilities.shape[1])
    counts = confusion_counts(combined.probabilities, combined.labels, combined.task)
    return ClassSummary(
        class_names=tuple(class_names),
        folds=[per_class_metrics(fold.probabilities, fold.labels, fold.task) for fold in folds],
        combined=per_class_metrics(combined.probabilities, combined.labels, combined.task),
        images=[found + missed for found, missed in zip(counts["tp"], counts["fn"], strict=True)],
        combination=combination,
        kind="label" if combined.task == "multi-label" else "class",
    )


def class_auc_metrics(summary: ClassSummary) -> dict[str, float]:
    """Name the AUC of each class for MLflow, whose UI groups by what stands before the slash.

    Returns:
        ``test_auc/<key>_mean``, ``test_auc/<key>_std`` and ``ensemble_auc/<key>`` (or ``pooled_auc/<key>``).
    """
    columns = {"test_auc/{}_mean": summary.mean("auc"), f"{summary.combination}_auc/{{}}": summary.combined["auc"]}
    deviations = summary.standard_deviation("auc")
    if deviations is not None:
        columns["test_auc/{}_std"] = deviations
    keys = metric_keys(summary.class_names)
    return {
        pattern.format(key): float(value)
        for pattern, column in columns.items()
        for key, value in zip(keys, column, strict=True)
    }


def class_markdown_table(summary: ClassSummary) -> str:
    """Lay the classes out in Markdown: mean ± std over the folds in percent, the AUC as a fraction."""
    header = [summary.kind, "images", *CLASS_METRICS, f"{summary.combination} auc"]
    columns = [summary.images, *(_spread(summary, metric) for metric in CLASS_METRICS)]
    combined = [f"{value:.4f}" for value in summary.combined["auc"]]
    rows = [list(map(str, row)) for row in zip(summary.class_names, *columns, combined, strict=True)]
    return f"{Table(header, rows).markdown}\n{_remark(summary)}  \n"


def class_csv_table(summary: ClassSummary) -> str:
    """The same as CSV, with every metric of the combination: fractions in full precision."""
    header = [summary.kind, "images"]
    columns: list[Sequence[object]] = [summary.class_names, summary.images]
    for metric in CLASS_METRICS:
        header += [f"{metric}_mean", f"{metric}_std", f"{metric}_{summary.combination}"]
        deviations = summary.standard_deviation(metric)
        empty = [""] * len(summary.class_names)
        columns += [summary.mean(metric).tolist(), empty if deviations is None else deviations.tolist()]
        columns.append(summary.combined[metric])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()


def _spread(summary: ClassSummary, metric: str) -> list[str]:
    scale, digits = (1, 4) if metric == "auc" else (100, 2)
    means, deviations = summary.mean(metric), summary.standard_deviation(metric)
    if deviations is None:
        return [f"{scale * mean:.{digits}f}" for mean in means]
    pairs = zip(means, deviations, strict=True)
    return [f"{scale * mean:.{digits}f} ± {scale * deviation:.{digits}f}" for mean, deviation in pairs]


def _remark(summary: ClassSummary) -> str:
    several = "each label on its own, predicted above a probability of 0.5"
    figures = several if summary.kind == "label" else "each class against the rest"
    folds = f"mean ± sample standard deviation (n - 1) over {len(summary.folds)} folds"
    spread = folds if len(summary.folds) > 1 else "of one fold"
    return f"Test images; {figures}: {spread}, in percent, the AUC as a fraction."


def _require_names(class_names: Sequence[str], num_classes: int) -> None:
    if len(class_names) != num_classes or len(set(class_names)) != num_classes:
        raise UserError(f"{num_classes} classes need as many different names; found {list(class_names)}")
