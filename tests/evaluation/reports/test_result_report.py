"""What the report of a cross-validation says in words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from medmamba_monai.evaluation import Predictions
from medmamba_monai.evaluation.reports.page import Report, Section, render_report
from medmamba_monai.evaluation.reports.result_report import ReportContext, list_limits, make_report
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from tests.helpers.predicted_folds import predicted_folds

CONTEXT = ReportContext(
    title="first: MedMamba on Chest",
    dataset="X-ray, 180 images",
    description="Chest X-rays.",
    license="CC BY 4.0",
    intended_use="Research only.",
    known_problems=["Children only."],
    protocol="official-test",
    command="python -m monai.bundle run",
    versions={"torch": "2.13.0"},
    details={"epochs": 4},
)


@cache
def result(
    task: str = "binary", combination: str = "ensemble", num_folds: int = 3, **options: Any
) -> CrossValidationResult:
    folds = predicted_folds(task, combination, num_folds, **options)
    return evaluate_folds(folds, combination, resamples=1000)


def text_of(report: Report) -> str:
    return render_report(report)


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def test_the_report_holds_what_a_reviewer_asks_for():
    html = text_of(make_report(result(), CONTEXT))
    wanted = ["first: MedMamba on Chest", "Children only.", "CC BY 4.0", "Research only.", "python -m monai.bundle run"]
    assert [text for text in [*wanted, "2.13.0", "1000 resamples of 60 images"] if text not in html] == []


def test_the_page_on_robustness_is_linked_where_its_command_is_named():
    html = text_of(make_report(result(), CONTEXT))
    assert '<a href="robustness.html">' in html.split("What was not tested</h2>")[1].split("<h2")[0]
    assert any("medmamba-monai robustness FOLDER" in text for text in list_limits(result()))


def test_the_review_can_be_made_again_as_it_was():
    assert "medmamba-monai review FOLDER --resamples 1000 --seed 0" in text_of(make_report(result(), CONTEXT))


def test_a_finished_cross_validation_has_no_warning():
    assert list(make_report(result(), CONTEXT).warnings) == []


def test_missing_folds_are_the_first_thing_said():
    incomplete = replace(result(), num_folds=5, reasons={4: "exit code 1"})
    (warning,) = make_report(incomplete, CONTEXT).warnings
    assert warning == (
        "Incomplete: 3 of 5 folds finished; all figures are of these. "
        "Missing: fold 3 (not finished), fold 4 (exit code 1)."
    )


def test_the_top_has_auc_accuracy_and_calibration_with_intervals():
    figures = make_report(result(), CONTEXT).key_figures
    assert [figure.name for figure in figures][:2] == ["AUC, ensemble", "accuracy (%), ensemble"]
    assert figures[0].value == f"{result().metrics['auc']:.4f}"
    assert figures[0].note.startswith("95 % interval 0.")
    assert figures[-1].note.endswith("over 3 folds")


def test_one_fold_has_no_spread():
    figure = make_report(result(num_folds=1), CONTEXT).key_figures[-1]
    assert figure.note == "over 1 folds"


@pytest.mark.parametrize(("task", "there"), [("binary", True), ("multi-label", True), ("ordinal", False)])
def test_thresholds_are_a_section_of_tasks_that_have_them(task, there):
    assert ("At other thresholds" in titles(make_report(result(task), CONTEXT))) == there


def test_the_pooled_protocol_is_described():
    context = replace(CONTEXT, protocol="cross-validation")
    html = text_of(make_report(result(combination="pooled"), context))
    assert "There is no official test set" in html
    assert "Pooled on test images" in html


def test_images_without_known_patients_are_a_limit():
    assert any("belong to one patient is not known" in text for text in list_limits(result()))
    grouped = result(groups=20)
    assert not any("belong to one patient is not known" in text for text in list_limits(grouped))
    assert "1000 resamples of 20 groups of images" in text_of(make_report(grouped, CONTEXT))


def test_classes_with_few_test_images_are_named():
    few = next(text for text in list_limits(result("multi-class")) if "few" in text)
    assert "Red (20), Green (20), Blue (20)" in few
    assert not any("few" in text for text in list_limits(result(images=80)))


@pytest.mark.long
def test_of_many_rare_labels_only_some_are_named():
    first = predicted_folds("multi-label")[0]
    labels = np.tile(first.labels, (1, 100))
    names = [f"label {index}" for index in range(300)]
    many = Predictions(
        labels.astype(float), labels, "multi-label", ids=first.ids, parts=first.parts, class_names=names
    ).take([*range(60), *range(60, 100)])
    few = next(text for text in list_limits(evaluate_folds({0: many}, resamples=100)) if "few" in text)
    assert few.count("label ") == 10
    assert f"and {(many.select('test').labels.sum(axis=0) < 30).sum() - 10} more" in few


def test_a_missing_interval_and_a_temperature_at_its_bound_are_told():
    told = result().intervals
    without = replace(told, metrics={**told.metrics, "ece": "too few bins"})
    limits = list_limits(replace(result()).keep_intervals(without, result().fold_intervals))
    assert any("expected calibration error: too few bins" in text for text in limits)
    assert any("folds [0, 1, 2] ran into its bound" in text for text in list_limits(result(skill=50.0)))


def test_why_there_are_no_images_is_said():
    html = text_of(make_report(result(), replace(CONTEXT, cases_note="Images were left out, as asked for.")))
    assert "Images were left out, as asked for." in html
    assert "wrong predictions with the highest" not in html


def test_a_card_without_problems_is_said_to_record_none():
    html = text_of(make_report(result(), replace(CONTEXT, known_problems=[])))
    assert "No problem is recorded in the dataset&#39;s card." in html


def test_warnings_of_the_data_are_read_first_and_their_audit_is_a_section():
    context = replace(CONTEXT, warnings=["Shortcut: format."], shortcuts=Section("Shortcuts", ["Audited."]))
    report = make_report(result(), context)
    assert list(report.warnings) == ["Shortcut: format."]
    assert titles(report).index("Shortcuts") == titles(report).index("The data and their known problems") - 1
