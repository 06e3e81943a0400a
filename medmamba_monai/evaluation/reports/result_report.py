"""The report of a cross-validation: what was found, how sure that is, and what was not tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.reports.note import PROTOCOLS
from medmamba_monai.evaluation.reports.page import KeyFigure, Link, Picture, Report, Section
from medmamba_monai.evaluation.reports.result_tables import (
    make_abstention_table,
    make_calibration_table,
    make_classes_table,
    make_folds_table,
    make_metrics_table,
    make_operating_points_table,
    make_sets_table,
)
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.results.formatting import format_interval, format_value
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.tables import Table

FEW_IMAGES = 30
"""Below so many test images of a class, its figures are called uncertain."""

MOST_LISTED = 10
"""So many of them are named."""

ROBUSTNESS = Link("What noise, blur and other light cost, once it was measured", RunFolder("").robustness_report.name)


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
        command: that makes the run again.
        versions: of packages.
        details: names and values worth knowing.
        curves: pictures of predictions.
        cases: pictures of images.
        trainings: pictures of trainings and data.
        cases_note: why there are no pictures of images, where there are none.
        maps_note: why there are no maps of mistakes, where there are none.
        warnings: of the data, which must be read first.
        shortcuts: the audit of the data, where there is one.
        published: where the result stands among published ones, where there are some.
        remark: what the words of the protocol do not say of these models.
    """

    title: str
    dataset: str
    description: str
    license: str
    intended_use: str
    known_problems: Sequence[str]
    protocol: str
    command: str
    versions: Mapping[str, str]
    details: Mapping[str, object] = field(default_factory=dict)
    curves: Sequence[Picture] = ()
    cases: Sequence[Picture] = ()
    trainings: Sequence[Picture] = ()
    cases_note: str = ""
    maps_note: str = ""
    warnings: Sequence[str] = ()
    shortcuts: Section | None = None
    published: Section | None = None
    remark: str = ""


def make_report(result: CrossValidationResult, context: ReportContext) -> Report:
    """Put the report of a cross-validation together."""
    sections = [
        Section("Results", [_explain_intervals(result)], tables=[make_metrics_table(result), make_folds_table(result)]),
        *([context.published] if context.published is not None else []),
        Section("Classes", tables=[make_classes_table(result)], pictures=context.curves),
        *_write_operating_points(result),
        Section("Calibration", [_explain_calibration(result)], tables=[make_calibration_table(result)]),
        *_write_doubt(result),
        Section("Mistakes and doubts", _explain_cases(context), pictures=context.cases),
        Section("Folds and training", pictures=context.trainings),
        *([context.shortcuts] if context.shortcuts is not None else []),
        _describe_data(context),
        Section("What was evaluated on what", _explain_protocol(result, context)),
        Section("What was not tested", bullets=list_limits(result), links=[ROBUSTNESS]),
        _tell_command(result, context),
    ]
    return Report(
        title=context.title,
        subtitle=context.dataset,
        warnings=[*_list_warnings(result), *context.warnings],
        key_figures=_list_key_figures(result),
        sections=sections,
        footer=f"Intended use: {context.intended_use}",
    )


def list_limits(result: CrossValidationResult) -> list[str]:
    """List what the numbers themselves do not show."""
    limits = [_explain_independence(result)]
    few = [
        f"{name} ({count})"
        for name, count in zip(result.class_names, result.combined_predictions.class_counts, strict=True)
        if count < FEW_IMAGES
    ]
    if few:
        more = f" and {len(few) - MOST_LISTED} more" if len(few) > MOST_LISTED else ""
        limits.append(
            f"Test images are few for {', '.join(few[:MOST_LISTED])}{more}: figures of these classes are uncertain."
        )
    reasons = [
        f"{CATALOGUE[name].title}: {found}"
        for name, found in result.intervals.metrics.items()
        if isinstance(found, str)
    ]
    if reasons:
        limits.append(f"No interval could be given for {'; '.join(reasons)}.")
    limits += _list_broken_promises(result)
    if bound := [fold for fold, found in result.calibration.temperatures.items() if found.at_bound]:
        limits.append(f"The temperature of the folds {bound} ran into its bound: take their calibration with care.")
    limits.append(
        "Noise, blur and other light: medmamba-monai robustness FOLDER measures what they cost, and writes a page "
        f"{ROBUSTNESS.address} into that folder."
    )
    limits.append(
        "Intervals say what other test images of the same kind would change. They say nothing of other hospitals, "
        "scanners and patients, nor of another training: the spread of the folds hints at that."
    )
    return limits


def _explain_protocol(result: CrossValidationResult, context: ReportContext) -> list[str]:
    return [PROTOCOLS[context.protocol].format(folds=result.num_folds), *filter(None, [context.remark])]


def _list_broken_promises(result: CrossValidationResult) -> list[str]:
    """Name the prediction sets whose coverage is below their level, beyond what chance explains."""
    broken = []
    for found in result.prediction_sets or ():
        interval = found.intervals["coverage"]
        if isinstance(interval, Interval) and interval.high < found.level:
            broken.append(f"{found.kind}, {found.level:.0%}: {100 * found.values['coverage']:.1f} %")
    if not broken:
        return []
    return [
        f"Prediction sets hold the truth less often than stated ({'; '.join(broken)}): the test images are not like "
        "the validation images, and the stated coverage must not be relied on for images like them."
    ]


def _explain_independence(result: CrossValidationResult) -> str:
    how, images = result.intervals.resampling, len(result.combined_predictions)
    if how.units == "images":
        return (
            "Which images belong to one patient is not known: intervals take every image as independent and are too "
            "narrow where it is not."
        )
    return (
        f"Intervals take the {images} test images as {how.num_units} independent groups. Images of one patient whom "
        "the data do not name are in different groups, which makes intervals too narrow."
    )


def _list_key_figures(result: CrossValidationResult) -> list[KeyFigure]:
    figures = []
    for name in ("auc", "accuracy", "balanced_accuracy", "ece"):
        interval = result.intervals.metrics[name]
        note = f"95 % interval {format_interval(name, interval)}" if isinstance(interval, Interval) else "no interval"
        figures.append(
            KeyFigure(f"{CATALOGUE[name].title}, {result.combination}", format_value(name, result.metrics[name]), note)
        )
    values = [fold["auc"] for fold in result.fold_metrics.values()]
    spread = f"± {stdev(values):.4f} " if len(values) > 1 else ""
    return [*figures, KeyFigure("AUC, mean of folds", f"{fmean(values):.4f}", f"{spread}over {len(values)} folds")]


def _list_warnings(result: CrossValidationResult) -> list[str]:
    if not result.missing:
        return []
    named = ", ".join(f"fold {fold} ({result.reasons.get(fold, 'not finished')})" for fold in result.missing)
    return [
        f"Incomplete: {len(result.folds)} of {result.num_folds} folds finished; all figures are of these. "
        f"Missing: {named}."
    ]


def _explain_intervals(result: CrossValidationResult) -> str:
    how = result.intervals.resampling
    units = "groups of images (patients where they are known, and copies of one image)"
    return (
        f"Intervals hold {how.level:.0%}: bias-corrected and accelerated bootstrap (BCa), {how.resamples} resamples of "
        f"{how.num_units} {units if how.units == 'groups' else 'images'}, seed {how.seed}. A dash stands where "
        "resampling gives no interval."
    )


def _write_operating_points(result: CrossValidationResult) -> list[Section]:
    table: Table | None = make_operating_points_table(result)
    if table is None:
        return []
    text = (
        "A probability of 0.5 is not always the right threshold. These were chosen on validation images alone and then "
        "used on test images. Predictive values hold for the share of positives in this test set."
    )
    return [Section("At other thresholds", [text], tables=[table])]


def _explain_calibration(result: CrossValidationResult) -> str:
    values = ", ".join(f"{found.value:.2f}" for found in result.calibration.temperatures.values())
    return (
        "The expected calibration error is the mean distance between the predicted class's probability and how often "
        "it is right, over 15 bins of equal width (of several labels: each label's own probability, averaged over "
        f"them). Temperatures were fitted on each fold's validation images: {values}; above 1 the network was too sure."
    )


def _write_doubt(result: CrossValidationResult) -> list[Section]:
    """Write what the model may leave open: sets of classes, and images that a person should look at."""
    sets, abstention = make_sets_table(result), make_abstention_table(result)
    if sets is None or abstention is None:
        return []
    how = (
        "each test image was judged by every fold's model beside that fold's validation images (cross-conformal; the "
        "proven bound is lower than the level, the share found stands here)"
        if result.combination == "ensemble" and len(result.folds) > 1
        else "each test image was judged beside the validation images of its fold (split conformal)"
    )
    text = (
        "A prediction set holds the classes that cannot be ruled out at the stated level: several where the model is "
        f"in doubt, none where the image is unlike those of every class. Here {how}. It holds for images like the "
        "validation images; sets of each class hold the level for each class alone."
    )
    return [Section("When not to answer", [text], tables=[sets, abstention])]


def _explain_cases(context: ReportContext) -> list[str]:
    said = "The wrong predictions with the highest probabilities, and those that another class came closest to."
    return [text for text in (context.cases_note or said, context.maps_note) if text]


def _describe_data(context: ReportContext) -> Section:
    problems = list(context.known_problems) or ["No problem is recorded in the dataset's card."]
    return Section("The data and their known problems", [context.description, f"License: {context.license}."], problems)


def _tell_command(result: CrossValidationResult, context: ReportContext) -> Section:
    how = result.intervals.resampling
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
