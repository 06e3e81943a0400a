"""A cross-validation in words: tables for the terminal, for Markdown and as CSV, and the note of an MLflow run.

Pure functions from numbers to strings. Percent signs and rounding are for readers; `csv_table` keeps every digit.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.paper import METRICS
from medmamba_monai.evaluation.tables import Table

_SPLIT = "split once into {folds} stratified folds, no patient in two of them where patients are known."
_OPTIMISM = "Validation figures are optimistic, because they chose the epoch; test figures are not."

PROTOCOLS = {
    "official-test": (
        f"The official test set was set aside. The other images were {_SPLIT} The model of a fold was trained without "
        "the images of that fold, its best epoch was chosen on them, and it was then evaluated on them (validation) "
        f"and on the test set. {_OPTIMISM} The ensemble is the mean of the models' probabilities on the test set."
    ),
    "cross-validation": (
        f"There is no official test set. All images were {_SPLIT} The fold of a model is its test set; a tenth of the "
        f"remaining images (validation) chose the best epoch, and the rest trained it. {_OPTIMISM} The pooled figures "
        "are computed once over the test images of all folds, each predicted by the model that never saw it."
    ),
}
"""What was evaluated on what, for each protocol of a fold list."""

_SINGLE_LABEL = "Accuracy is overall; precision, sensitivity, specificity and F1 are macro averages over the classes."
_MULTI_LABEL = (
    "Accuracy is the share of right answers over all images and labels, high wherever labels are rare; all other "
    "figures are means over the labels. A label is predicted above a probability of 0.5."
)
_VALUE_WIDTH = len("100.00")


@dataclass(frozen=True)
class Summary:
    """The metrics of the folds on one part of the data, and of their combination.

    Attributes:
        part: what was evaluated, as a reader shall see it: `validation`, `test`.
        num_folds: how many folds the cross-validation has.
        folds: the metrics of every finished fold, by fold number; each has at least the names in `METRICS`.
        combined: metrics of the combination of the finished folds, if there is one.
        combination: what `combined` is: `ensemble` (mean probabilities) or `pooled` (joined test parts).
        reasons: for a fold that did not finish, why, where known.
        task: of the dataset, which decides what the remarks below the table say.

    Raises:
        UserError: on creation, for a fold that the cross-validation does not have or a metric that is missing or not
            a finite number.
    """

    part: str
    num_folds: int
    folds: Mapping[int, Mapping[str, float]]
    combined: Mapping[str, float] | None = None
    combination: str = "ensemble"
    reasons: Mapping[int, str] = field(default_factory=dict)
    task: str = "multi-class"

    def __post_init__(self) -> None:
        for fold in (*self.folds, *self.reasons):
            if not 0 <= fold < self.num_folds:
                raise UserError(f"fold {fold} does not exist: the {self.num_folds} folds are 0 to {self.num_folds - 1}")
        for fold, values in self.folds.items():
            _require_metrics(values, f"fold {fold}")
        if self.combined is not None:
            _require_metrics(self.combined, f"the {self.combination} row")

    @property
    def missing(self) -> list[int]:
        """Numbers of the folds that did not finish."""
        return [fold for fold in range(self.num_folds) if fold not in self.folds]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the finished folds; empty where none finished."""
        return {name: statistics.fmean(self._column(name)) for name in METRICS if self.folds}

    @property
    def standard_deviation(self) -> dict[str, float]:
        """Sample standard deviation (n - 1) over the finished folds; empty with fewer than two of them."""
        return {name: statistics.stdev(self._column(name)) for name in METRICS if len(self.folds) > 1}

    def _column(self, name: str) -> list[float]:
        return [values[name] for values in self.folds.values()]


@dataclass(frozen=True)
class RunDescription:
    """What the note of a cross-validation tells beside its figures.

    Attributes:
        title: the name of the run.
        dataset: one line on the data: name, what it shows, how many images.
        protocol: a key of `PROTOCOLS`.
        command: the exact command that makes this run again.
        versions: package names and versions.
        details: names and values worth knowing: network, recipe, image size, seed, fold digest, device.
        known_problems: what is known to be wrong with the data, one sentence each.
    """

    title: str
    dataset: str
    protocol: str
    command: str
    versions: Mapping[str, str]
    details: Mapping[str, object] = field(default_factory=dict)
    known_problems: Sequence[str] = ()


def text_table(summary: Summary) -> str:
    """Lay the summary out for a terminal of 80 columns: a line for each fold, mean and std, the combination.

    Percent for all metrics except the AUC, as in the paper's tables.
    """
    rows = [[name, *_cells(values)] for name, values in _rows(summary)]
    header = [summary.part.ljust(max(len(row[0]) for row in rows)), *METRICS]
    widths = [max(len(name), _VALUE_WIDTH) for name in header]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    remarks = [line for remark in _remarks(summary) for line in textwrap.wrap(remark, len(rule))]
    return "\n".join([lines[0], rule, *lines[1:], rule, *remarks]) + "\n"


def markdown_table(summary: Summary) -> str:
    """The same table in Markdown, with its remarks below, for a README or a report."""
    rows = [[name, *map(str.strip, _cells(values))] for name, values in _rows(summary)]
    remarks = "\n".join(f"{remark}  " for remark in _remarks(summary))
    return f"{Table([summary.part, *METRICS], rows).markdown}\n{remarks}\n"


def csv_table(summary: Summary) -> str:
    """The same table as CSV: fractions in full precision, an empty cell where there is no value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([summary.part, *METRICS])
    writer.writerows([name, *(values.get(metric, "") for metric in METRICS)] for name, values in _rows(summary))
    return buffer.getvalue()


def run_note(description: RunDescription, summaries: Sequence[Summary]) -> str:
    """Write the note of an MLflow run (the tag ``mlflow.note.content``) in Markdown.

    The MLflow UI shows some six lines and folds the rest away, so the result comes first. It draws Markdown tables
    without space between the columns, so the tables are text in a fixed width.

    Args:
        description: what the run is.
        summaries: the parts that were evaluated, the most important first.

    Raises:
        UserError: no summary, or a protocol that is not in `PROTOCOLS`.
    """
    if not summaries:
        raise UserError("a note needs at least one evaluated part")
    if description.protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {description.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[description.protocol].format(folds=summaries[0].num_folds)
    problems = _bullets(description.known_problems) or "None is recorded in the dataset's card."
    versions = ", ".join(f"{name} {version}" for name, version in description.versions.items())
    details = _bullets([f"{name}: {value}" for name, value in (*description.details.items(), ("versions", versions))])
    sections = [
        f"**{description.title}**  \n{description.dataset}",
        "\n".join(f"{headline(summary)}  " for summary in summaries).rstrip(),
        *(f"### Results: {summary.part}\n\n```\n{text_table(summary)}```" for summary in summaries),
        f"### What was evaluated on what\n\n{protocol}",
        f"### Known problems of the data\n\n{problems}",
        f"### Make it again\n\n```\n{description.command}\n```\n\n{details}",
    ]
    return "\n\n".join(sections) + "\n"


def headline(summary: Summary) -> str:
    """Say the accuracy and the AUC, and how many folds they are of, in one line."""
    finished = f"{len(summary.folds)} of {summary.num_folds} folds"
    if not summary.folds:
        return f"{summary.part}: no results yet, {finished} finished."
    mean, deviation = summary.mean, summary.standard_deviation
    spread = [f" ± {_shown(name, deviation[name]).strip()}" if deviation else "" for name in ("accuracy", "auc")]
    text = f"{summary.part}: accuracy {100 * mean['accuracy']:.2f}{spread[0]} %, AUC {mean['auc']:.4f}{spread[1]}"
    if summary.combined is not None:
        combined = summary.combined
        text += f"; {summary.combination}: {100 * combined['accuracy']:.2f} %, {combined['auc']:.4f}"
    return f"{text} ({finished})."


def _rows(summary: Summary) -> list[tuple[str, Mapping[str, float]]]:
    rows = [(f"fold {fold}", summary.folds.get(fold, {})) for fold in range(summary.num_folds)]
    rows += [("mean", summary.mean), ("std", summary.standard_deviation)]
    if summary.combined is not None:
        rows.append((summary.combination, summary.combined))
    return rows


def _cells(values: Mapping[str, float]) -> list[str]:
    return [_shown(name, values[name]) if values else "-".rjust(_VALUE_WIDTH) for name in METRICS]


def _shown(name: str, value: float) -> str:
    return f"{value:{_VALUE_WIDTH}.4f}" if name == "auc" else f"{100 * value:{_VALUE_WIDTH}.2f}"


def _remarks(summary: Summary) -> list[str]:
    finished = len(summary.folds)
    remarks = [f"In percent, the AUC as a fraction. {_MULTI_LABEL if summary.task == 'multi-label' else _SINGLE_LABEL}"]
    if finished > 1:
        remarks.append(f"std is the sample standard deviation (n - 1) over {finished} folds.")
    if summary.missing:
        named = ", ".join(_missing_fold(summary, fold) for fold in summary.missing)
        basis = "all figures are of these alone" if finished else "there are no figures"
        remarks.insert(0, f"INCOMPLETE: {finished} of {summary.num_folds} folds finished, {basis}. Missing: {named}.")
    return remarks


def _missing_fold(summary: Summary, fold: int) -> str:
    return f"fold {fold} ({summary.reasons[fold]})" if fold in summary.reasons else f"fold {fold}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _require_metrics(values: Mapping[str, float], owner: str) -> None:
    for name in METRICS:
        if name not in values:
            raise UserError(f"{owner} has no {name!r}; every row of a summary needs {', '.join(METRICS)}")
        if not math.isfinite(values[name]):
            raise UserError(f"{name!r} of {owner} is {values[name]}: a fold without finite metrics has not finished")
