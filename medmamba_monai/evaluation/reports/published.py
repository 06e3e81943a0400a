"""Where a result stands among those that others published for the same dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.reports.page import Picture, Section
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.results.formatting import format_interval, format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table

COMPARED = ("auc", "accuracy")
NOT_A_TEST = (
    "This is no test of one method against another: the published figures come from other trainings, seeds, sizes of "
    "images, starting weights and sometimes splits, most from a single run and without an interval. Whether one "
    "network is better than another, medmamba-monai compare says, of runs on the same folds."
)


@dataclass(frozen=True)
class Published:
    """A figure that others printed for a dataset.

    Attributes:
        model: its name.
        accuracy: as a fraction.
        auc: as a fraction.
        source: where it was printed.
    """

    model: str
    accuracy: float
    auc: float
    source: str


def make_published_section(
    result: CrossValidationResult, published: Sequence[Published], pictures: Sequence[Picture] = ()
) -> Section:
    """Set a result among published ones, with the place of each beside the result's 95 % interval."""
    rows = sorted(published, key=lambda row: -row.auc)
    cells = [[name, *_write_values(result, row)] for name, row in zip(name_rows(rows), rows, strict=True)]
    above = sum(row.auc > result.metrics["auc"] for row in rows)
    cells.insert(above, [f"this run, {result.combination}", *_write_own(result)])
    header = ["method", "AUC", "to the interval", "accuracy (%)", "to the interval"]
    return Section(
        "Among published results",
        [summarize_standing(result, rows), NOT_A_TEST],
        [f"[{number}] {source}" for number, source in enumerate(_list_sources(rows), 1)],
        tables=[Table(header, cells)],
        pictures=pictures,
    )


def name_rows(published: Sequence[Published]) -> list[str]:
    """Return the name of each row: its model, and the number of its source in the report's list."""
    sources = _list_sources(published)
    return [f"{row.model} [{sources.index(row.source) + 1}]" for row in published]


def summarize_standing(result: CrossValidationResult, published: Sequence[Published]) -> str:
    """Say in a sentence for each metric how many published figures lie below, inside and above the interval."""
    return " ".join(_summarize(result, metric, [getattr(row, metric) for row in published]) for metric in COMPARED)


def place(value: float, interval: Interval | str) -> str:
    """Say where a value lies beside an interval: ``below``, ``inside`` or ``above``; a dash where there is none.

    Example:
        >>> place(0.5, "too few images")
        '–'
    """
    if not isinstance(interval, Interval):
        return "–"
    return "below" if value < interval.low else "above" if value > interval.high else "inside"


def _list_sources(published: Sequence[Published]) -> list[str]:
    """Return each source once, in the order of the AUC, the highest first."""
    return list(dict.fromkeys(row.source for row in sorted(published, key=lambda row: -row.auc)))


def _summarize(result: CrossValidationResult, metric: str, values: Sequence[float]) -> str:
    interval = result.intervals.metrics[metric]
    name, own = CATALOGUE[metric].title, format_value(metric, result.metrics[metric])
    if not isinstance(interval, Interval):
        return f"The {name} is {own}; it has no interval to lay published figures beside."
    places = [place(value, interval) for value in values]
    counts = ", ".join(f"{places.count(where)} {where}" for where in ("below", "inside", "above"))
    return f"The {name} is {own} ({format_interval(metric, interval)}); of {len(values)} published figures {counts} it."


def _write_values(result: CrossValidationResult, row: Published) -> list[str]:
    cells = []
    for metric in COMPARED:
        value = getattr(row, metric)
        cells += [format_value(metric, value), place(value, result.intervals.metrics[metric])]
    return cells


def _write_own(result: CrossValidationResult) -> list[str]:
    cells = []
    for metric in COMPARED:
        interval = result.intervals.metrics[metric]
        cells += [format_value(metric, result.metrics[metric])]
        cells += [format_interval(metric, interval) if isinstance(interval, Interval) else "–"]
    return cells
