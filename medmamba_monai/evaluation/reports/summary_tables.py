"""A summary of the folds as tables: for the terminal, in Markdown and as CSV.

Percent signs and rounding are for readers; the CSV keeps every digit.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.evaluation.metrics.catalogue import METRICS
from medmamba_monai.evaluation.results.formatting import format_value
from medmamba_monai.evaluation.results.summary import Summary
from medmamba_monai.evaluation.tables import Table, align_columns

_SINGLE_LABEL = "Accuracy is overall; precision, sensitivity, specificity and F1 are macro averages over the classes."
_MULTI_LABEL = (
    "Accuracy is the share of right answers over all images and labels, high wherever labels are rare; all other "
    "figures are means over the labels. A label is predicted above a probability of 0.5."
)
_VALUE_WIDTH = len("100.00")


def format_summary_text(summary: Summary) -> str:
    """Lay the summary out for a terminal of 80 columns: a line for each fold, mean and std, the combination.

    Percent for all metrics except the AUC, as in the paper's tables.
    """
    rows = [[name, *_format_cells(values)] for name, values in _list_rows(summary)]
    header, *lines = align_columns([[summary.part, *METRICS], *rows], numbers="left")
    rule = "-" * max(map(len, (header, *lines)))
    remarks = [line for remark in _list_remarks(summary) for line in textwrap.wrap(remark, len(rule))]
    return "\n".join([header, rule, *lines, rule, *remarks]) + "\n"


def format_summary_markdown(summary: Summary) -> str:
    """Write the same table in Markdown, with its remarks below, for a README or a report."""
    rows = [[name, *map(str.strip, _format_cells(values))] for name, values in _list_rows(summary)]
    remarks = "\n".join(f"{remark}  " for remark in _list_remarks(summary))
    return f"{Table([summary.part, *METRICS], rows).markdown}\n{remarks}\n"


def format_summary_csv(summary: Summary) -> str:
    """Write the same table as CSV: fractions in full precision, an empty cell where there is no value."""
    rows = ([name, *(values.get(metric, "") for metric in METRICS)] for name, values in _list_rows(summary))
    return format_csv([summary.part, *METRICS], rows)


def _list_rows(summary: Summary) -> list[tuple[str, Mapping[str, float]]]:
    rows = [(f"fold {fold}", summary.folds.get(fold, {})) for fold in range(summary.num_folds)]
    rows += [("mean", summary.mean), ("std", summary.standard_deviation)]
    if summary.combined is not None:
        rows.append((summary.combination, summary.combined))
    return rows


def _format_cells(values: Mapping[str, float]) -> list[str]:
    return [(format_value(name, values[name]) if values else "-").rjust(_VALUE_WIDTH) for name in METRICS]


def _list_remarks(summary: Summary) -> list[str]:
    finished = len(summary.folds)
    remarks = [f"In percent, the AUC as a fraction. {_MULTI_LABEL if summary.task == 'multi-label' else _SINGLE_LABEL}"]
    if finished > 1:
        remarks.append(f"std is the sample standard deviation (n - 1) over {finished} folds.")
    if summary.missing:
        named = ", ".join(_name_missing(summary, fold) for fold in summary.missing)
        basis = "all figures are of these alone" if finished else "there are no figures"
        remarks.insert(0, f"INCOMPLETE: {finished} of {summary.num_folds} folds finished, {basis}. Missing: {named}.")
    return remarks


def _name_missing(summary: Summary, fold: int) -> str:
    return f"fold {fold} ({summary.reasons[fold]})" if fold in summary.reasons else f"fold {fold}"
