"""A summary of the classes as tables: in Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.evaluation.metrics.catalogue import CLASS_METRICS
from medmamba_monai.evaluation.results.classes import ClassSummary
from medmamba_monai.evaluation.results.formatting import format_value
from medmamba_monai.evaluation.tables import Table


def format_classes_markdown(summary: ClassSummary) -> str:
    """Lay the classes out in Markdown: mean ± std over the folds in percent, the AUC as a fraction."""
    header = [summary.kind, "images", *CLASS_METRICS, f"{summary.combination} auc"]
    columns = [summary.images, *(_format_spreads(summary, metric) for metric in CLASS_METRICS)]
    combined = [f"{value:.4f}" for value in summary.combined["auc"]]
    rows = [list(map(str, row)) for row in zip(summary.class_names, *columns, combined, strict=True)]
    return f"{Table(header, rows).markdown}\n{_format_remark(summary)}  \n"


def format_classes_csv(summary: ClassSummary) -> str:
    """Write the same as CSV, with every metric of the combination: fractions in full precision."""
    header = [summary.kind, "images"]
    columns: list[Sequence[object]] = [summary.class_names, summary.images]
    for metric in CLASS_METRICS:
        header += [f"{metric}_mean", f"{metric}_std", f"{metric}_{summary.combination}"]
        deviations = summary.standard_deviation(metric)
        empty = [""] * len(summary.class_names)
        columns += [summary.mean(metric).tolist(), empty if deviations is None else deviations.tolist()]
        columns.append(summary.combined[metric])
    return format_csv(header, zip(*columns, strict=True))


def _format_spreads(summary: ClassSummary, metric: str) -> list[str]:
    means, deviations = summary.mean(metric), summary.standard_deviation(metric)
    if deviations is None:
        return [format_value(metric, mean) for mean in means]
    pairs = zip(means, deviations, strict=True)
    return [f"{format_value(metric, mean)} ± {format_value(metric, deviation)}" for mean, deviation in pairs]


def _format_remark(summary: ClassSummary) -> str:
    several = "each label on its own, predicted above a probability of 0.5"
    figures = several if summary.kind == "label" else "each class against the rest"
    folds = f"mean ± sample standard deviation (n - 1) over {len(summary.folds)} folds"
    spread = folds if len(summary.folds) > 1 else "of one fold"
    return f"Test images; {figures}: {spread}, in percent, the AUC as a fraction."
