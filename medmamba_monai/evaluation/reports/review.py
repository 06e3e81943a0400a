"""The report of a cross-validation: what was found, how sure that is, and what was not tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from medmamba_monai.evaluation.reports.page import KeyFigure, Picture, Report, Section
from medmamba_monai.evaluation.reports.review_tables import (
    TITLES,
    calibration_table,
    class_counts,
    classes_table,
    folds_table,
    metrics_table,
    operating_points_table,
    shown,
    shown_interval,
)
from medmamba_monai.evaluation.results.review import Review
from medmamba_monai.evaluation.results.summary import PROTOCOLS
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table

FEW_IMAGES = 30
"""Below so many test images of a class, its figures are called uncertain."""

MOST_LISTED = 10
"""So many of them are named."""


@dataclass(frozen=True)
class ReportContext:
    """What the report tells beside the numbers.

    Attributes:
        title: name of the run and what it is of.
        dataset: one line on the data.
        description: of the dataset.
        license: its terms.
        intended_use: what the data and models of them are for.
        known_problems: of the data, one sentence each.
        protocol: a key of `PROTOCOLS`.
        num_folds: how many folds there are.
        missing: of folds that did not finish, the reasons.
        command: that makes the run again.
        versions: of packages.
        details: names and values worth knowing.
        curves: pictures of predictions.
        cases: pictures of images.
        trainings: pictures of trainings and data.
        cases_note: why there are no pictures of images, where there are none.
    """

    title: str
    dataset: str
    description: str
    license: str
    intended_use: str
    known_problems: Sequence[str]
    protocol: str
    num_folds: int
    command: str
    versions: Mapping[str, str]
    missing: Mapping[int, str] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    curves: Sequence[Picture] = ()
    cases: Sequence[Picture] = ()
    trainings: Sequence[Picture] = ()
    cases_note: str = ""


def review_report(review: Review, context: ReportContext) -> Report:
    """Put the report of a cross-validation together."""
    sections = [
        Section("Results", [_how_intervals(review)], tables=[metrics_table(review), folds_table(review)]),
        Section("Classes", tables=[classes_table(review)], pictures=context.curves),
        *_operating_points(review),
        Section("Calibration", [_calibration_text(review)], tables=[calibration_table(review)]),
        Section("Mistakes and doubts", [_cases_text(context)], pictures=context.cases),
        Section("Folds and training", pictures=context.trainings),
        _data(context),
        Section("What was evaluated on what", [PROTOCOLS[context.protocol].format(folds=context.num_folds)]),
        Section("What was not tested", bullets=limits_of(review)),
        _again(review, context),
    ]
    return Report(
        title=context.title,
        subtitle=context.dataset,
        warnings=_warnings(review, context),
        key_figures=_key_figures(review),
        sections=sections,
        footer=f"Intended use: {context.intended_use}",
    )


def limits_of(review: Review) -> list[str]:
    """What the numbers themselves do not show."""
    limits = [_independence(review)]
    few = [
        f"{name} ({count})"
        for name, count in zip(review.class_names, class_counts(review), strict=True)
        if count < FEW_IMAGES
    ]
    if few:
        more = f" and {len(few) - MOST_LISTED} more" if len(few) > MOST_LISTED else ""
        limits.append(
            f"Test images are few for {', '.join(few[:MOST_LISTED])}{more}: figures of these classes are uncertain."
        )
    reasons = [f"{TITLES[name]}: {found}" for name, found in review.intervals.metrics.items() if isinstance(found, str)]
    if reasons:
        limits.append(f"No interval could be given for {'; '.join(reasons)}.")
    if bound := [fold for fold, found in review.calibration.temperatures.items() if found.at_bound]:
        limits.append(f"The temperature of the folds {bound} ran into its bound: take their calibration with care.")
    limits.append(
        "Intervals say what other test images of the same kind would change. They say nothing of other hospitals, "
        "scanners and patients, nor of another training: the spread of the folds hints at that."
    )
    return limits


def _independence(review: Review) -> str:
    how, images = review.intervals.resampling, len(review.combined)
    if how.units == "images":
        return (
            "Which images belong to one patient is not known: intervals take every image as independent and are too "
            "narrow where it is not."
        )
    return (
        f"Intervals take the {images} test images as {how.num_units} independent groups. Images of one patient whom "
        "the data do not name are in different groups, which makes intervals too narrow."
    )


def _key_figures(review: Review) -> list[KeyFigure]:
    figures = []
    for name in ("auc", "accuracy", "balanced_accuracy", "ece"):
        interval = review.intervals.metrics[name]
        note = f"95 % interval {shown_interval(name, interval)}" if isinstance(interval, Interval) else "no interval"
        figures.append(KeyFigure(f"{TITLES[name]}, {review.combination}", shown(name, review.metrics[name]), note))
    values = [fold["auc"] for fold in review.fold_metrics.values()]
    spread = f"± {stdev(values):.4f} " if len(values) > 1 else ""
    return [*figures, KeyFigure("AUC, mean of folds", f"{fmean(values):.4f}", f"{spread}over {len(values)} folds")]


def _warnings(review: Review, context: ReportContext) -> list[str]:
    if not context.missing:
        return []
    named = ", ".join(f"fold {fold} ({reason})" for fold, reason in sorted(context.missing.items()))
    finished = len(review.tested)
    return [
        f"Incomplete: {finished} of {context.num_folds} folds finished; all figures are of these. Missing: {named}."
    ]


def _how_intervals(review: Review) -> str:
    how = review.intervals.resampling
    units = "groups of images (patients where they are known, and copies of one image)"
    return (
        f"Intervals hold {how.level:.0%}: bias-corrected and accelerated bootstrap (BCa), {how.resamples} resamples of "
        f"{how.num_units} {units if how.units == 'groups' else 'images'}, seed {how.seed}. A dash stands where "
        "resampling gives no interval."
    )


def _operating_points(review: Review) -> list[Section]:
    table: Table | None = operating_points_table(review)
    if table is None:
        return []
    text = (
        "A probability of 0.5 is not always the right threshold. These were chosen on validation images alone and then "
        "used on test images. Predictive values hold for the share of positives in this test set."
    )
    return [Section("At other thresholds", [text], tables=[table])]


def _calibration_text(review: Review) -> str:
    values = ", ".join(f"{found.value:.2f}" for found in review.calibration.temperatures.values())
    return (
        "The expected calibration error is the mean distance between the predicted class's probability and how often "
        "it is right, over 15 bins of equal width (of several labels: each label's own probability, averaged over "
        f"them). Temperatures were fitted on each fold's validation images: {values}; above 1 the network was too sure."
    )


def _cases_text(context: ReportContext) -> str:
    if context.cases_note:
        return context.cases_note
    return "The wrong predictions with the highest probabilities, and those that another class came closest to."


def _data(context: ReportContext) -> Section:
    problems = list(context.known_problems) or ["No problem is recorded in the dataset's card."]
    return Section("The data and their known problems", [context.description, f"License: {context.license}."], problems)


def _again(review: Review, context: ReportContext) -> Section:
    how = review.intervals.resampling
    rows = [[name, str(value)] for name, value in context.details.items()]
    versions = [[name, version] for name, version in context.versions.items()]
    return Section(
        "Make it again",
        [
            f"medmamba-monai review FOLDER --resamples {how.resamples} --seed {how.seed} makes this report again from "
            "the saved predictions. The whole run, in the folder of the bundle, with the same data:"
        ],
        code=context.command,
        tables=[Table(["setting", "value"], rows), Table(["package", "version"], versions)],
    )
