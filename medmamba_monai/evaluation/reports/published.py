"""Where a result stands among those that others published for the same dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.reports.page import Picture, Section
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


@dataclass(frozen=True)
class Own:
    """A result that is laid beside published ones.

    Attributes:
        name: in tables and sentences.
        metrics: at least those of `COMPARED`.
        intervals: of the same metrics, or the reasons why there are none.
    """

    name: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval | str]


def make_published_section(
    results: Sequence[Own], published: Sequence[Published], pictures: Sequence[Picture] = ()
) -> Section:
    """Set results among published ones, with the place of each of those beside the results' 95 % intervals."""
    rows = sorted(published, key=lambda row: -row.auc)
    cells = [(row.auc, [name, *_place(results, row)]) for name, row in zip(name_rows(rows), rows, strict=True)]
    cells += [(own.metrics["auc"], [own.name, *_write_own(results, own)]) for own in results]
    cells.sort(key=lambda cell: -cell[0])
    beside = ["to the interval"] if len(results) == 1 else [f"to that of {own.name}" for own in results]
    return Section(
        "Among published results",
        [*(summarize_standing(own, rows) for own in results), NOT_A_TEST],
        [f"[{number}] {source}" for number, source in enumerate(_list_sources(rows), 1)],
        tables=[Table(["method", "AUC", *beside, "accuracy (%)", *beside], [row for _, row in cells])],
        pictures=pictures,
    )


def name_rows(published: Sequence[Published]) -> list[str]:
    """Return the name of each row: its model, and the number of its source in the report's list."""
    sources = _list_sources(published)
    return [f"{row.model} [{sources.index(row.source) + 1}]" for row in published]


def summarize_standing(own: Own, published: Sequence[Published]) -> str:
    """Say in a sentence for each metric how many published figures lie below, inside and above the interval."""
    told = [_summarize(own, metric, [getattr(row, metric) for row in published]) for metric in COMPARED]
    return f"{own.name[0].upper()}{own.name[1:]}: {'; '.join(told)}."


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


def _summarize(own: Own, metric: str, values: Sequence[float]) -> str:
    interval = own.intervals[metric]
    told = f"{CATALOGUE[metric].title} {format_value(metric, own.metrics[metric])}"
    if not isinstance(interval, Interval):
        return f"{told}, without an interval to lay published figures beside"
    places = [place(value, interval) for value in values]
    counts = ", ".join(f"{places.count(where)} {where}" for where in ("below", "inside", "above"))
    return f"{told} ({format_interval(metric, interval)}), of {len(values)} published figures {counts} the interval"


def _place(results: Sequence[Own], row: Published) -> list[str]:
    cells = []
    for metric in COMPARED:
        value = getattr(row, metric)
        cells += [format_value(metric, value), *(place(value, own.intervals[metric]) for own in results)]
    return cells


def _write_own(results: Sequence[Own], own: Own) -> list[str]:
    cells = []
    for metric in COMPARED:
        interval = own.intervals[metric]
        limits = format_interval(metric, interval) if isinstance(interval, Interval) else "–"
        cells += [format_value(metric, own.metrics[metric]), *(limits if other is own else "" for other in results)]
    return cells
