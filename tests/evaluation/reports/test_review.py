"""What the report of a cross-validation says in words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from medmamba_monai.evaluation import Predictions
from medmamba_monai.evaluation.metrics.calibration import Temperature
from medmamba_monai.evaluation.reports.page import Report, render_report
from medmamba_monai.evaluation.reports.review import ReportContext, limits_of, review_report
from medmamba_monai.evaluation.results.review import Review, review_folds
from tests.helpers.predicted_folds import NAMES, predicted_folds

CONTEXT = ReportContext(
    title="first: MedMamba on Chest",
    dataset="X-ray, 180 images",
    description="Chest X-rays.",
    license="CC BY 4.0",
    intended_use="Research only.",
    known_problems=["Children only."],
    protocol="official-test",
    num_folds=3,
    command="python -m monai.bundle run",
    versions={"torch": "2.13.0"},
    details={"epochs": 4},
)


@cache
def review(task: str = "binary", combination: str = "ensemble", num_folds: int = 3, **options: Any) -> Review:
    folds = predicted_folds(task, combination, num_folds, **options)
    return review_folds(folds, task, NAMES[task], combination, resamples=1000)


def text_of(report: Report) -> str:
    return render_report(report)


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def test_the_report_holds_what_a_reviewer_asks_for():
    html = text_of(review_report(review(), CONTEXT))
    wanted = ["first: MedMamba on Chest", "Children only.", "CC BY 4.0", "Research only.", "python -m monai.bundle run"]
    assert [text for text in [*wanted, "2.13.0", "1000 resamples of 60 images"] if text not in html] == []


def test_the_review_can_be_made_again_as_it_was():
    assert "medmamba-monai review FOLDER --resamples 1000 --seed 0" in text_of(review_report(review(), CONTEXT))


def test_a_finished_cross_validation_has_no_warning():
    assert list(review_report(review(), CONTEXT).warnings) == []


def test_missing_folds_are_the_first_thing_said():
    context = replace(CONTEXT, num_folds=5, missing={4: "exit code 1", 3: "not finished"})
    (warning,) = review_report(review(), context).warnings
    assert warning == (
        "Incomplete: 3 of 5 folds finished; all figures are of these. "
        "Missing: fold 3 (not finished), fold 4 (exit code 1)."
    )


def test_the_top_has_auc_accuracy_and_calibration_with_intervals():
    figures = review_report(review(), CONTEXT).key_figures
    assert [figure.name for figure in figures][:2] == ["AUC, ensemble", "accuracy (%), ensemble"]
    assert figures[0].value == f"{review().metrics['auc']:.4f}"
    assert figures[0].note.startswith("95 % interval 0.")
    assert figures[-1].note.endswith("over 3 folds")


def test_one_fold_has_no_spread():
    figure = review_report(review(num_folds=1), CONTEXT).key_figures[-1]
    assert figure.note == "over 1 folds"


@pytest.mark.parametrize(("task", "there"), [("binary", True), ("multi-label", True), ("ordinal", False)])
def test_thresholds_are_a_section_of_tasks_that_have_them(task, there):
    assert ("At other thresholds" in titles(review_report(review(task), CONTEXT))) == there


def test_the_pooled_protocol_is_described():
    context = replace(CONTEXT, protocol="cross-validation")
    html = text_of(review_report(review(combination="pooled"), context))
    assert "There is no official test set" in html
    assert "Pooled on test images" in html


def test_images_without_known_patients_are_a_limit():
    assert any("belong to one patient is not known" in text for text in limits_of(review()))
    grouped = review(groups=20)
    assert not any("belong to one patient is not known" in text for text in limits_of(grouped))
    assert "1000 resamples of 20 groups of images" in text_of(review_report(grouped, CONTEXT))


def test_classes_with_few_test_images_are_named():
    few = next(text for text in limits_of(review("multi-class")) if "few" in text)
    assert "Red (20), Green (20), Blue (20)" in few
    assert not any("few" in text for text in limits_of(review(images=80)))


def test_of_many_rare_labels_only_some_are_named():
    several = review("multi-label")
    first = several.combined.take(range(40))
    labels = np.tile(first.labels, (1, 100))
    combined = Predictions(first.ids, first.parts, labels, labels.astype(float))
    many = replace(several, combined=combined, class_names=[f"label {index}" for index in range(300)])
    few = next(text for text in limits_of(many) if "few" in text)
    assert few.count("label ") == 10
    assert f"and {(labels.sum(axis=0) < 30).sum() - 10} more" in few


def test_a_missing_interval_and_a_temperature_at_its_bound_are_told():
    intervals = replace(review().intervals, metrics={**review().intervals.metrics, "ece": "too few bins"})
    temperatures = {**review().calibration.temperatures, 1: Temperature(20.0, at_bound=True)}
    calibration = replace(review().calibration, temperatures=temperatures)
    limits = limits_of(replace(review(), intervals=intervals, calibration=calibration))
    assert any("expected calibration error: too few bins" in text for text in limits)
    assert any("folds [1] ran into its bound" in text for text in limits)


def test_why_there_are_no_images_is_said():
    html = text_of(review_report(review(), replace(CONTEXT, cases_note="Images were left out, as asked for.")))
    assert "Images were left out, as asked for." in html
    assert "wrong predictions with the highest" not in html


def test_a_card_without_problems_is_said_to_record_none():
    html = text_of(review_report(review(), replace(CONTEXT, known_problems=[])))
    assert "No problem is recorded in the dataset&#39;s card." in html
