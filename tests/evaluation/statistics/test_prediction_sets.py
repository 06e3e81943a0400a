"""Prediction sets of a cross-validation: coverage and size counted again from the folds' predictions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from medmamba_monai.evaluation.predictions import pool
from medmamba_monai.evaluation.reports.result_report import list_limits
from medmamba_monai.evaluation.reports.result_tables import make_abstention_table, make_sets_table
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from medmamba_monai.evaluation.results.files import describe_result, name_all_values
from medmamba_monai.evaluation.statistics.conformal import ConformalPredictor
from medmamba_monai.evaluation.statistics.prediction_sets import KINDS, LEVELS
from tests.helpers.predicted_folds import predicted_folds


@cache
def result(task: str = "multi-class", combination: str = "ensemble") -> CrossValidationResult:
    return evaluate_folds(predicted_folds(task, combination, groups=20, skill=2.0), combination, resamples=200)


def test_every_kind_and_level_is_there():
    found = [(sets.kind, sets.level) for sets in result().prediction_sets or ()]
    assert found == [(kind, level) for kind in KINDS for level in LEVELS]


def test_an_ensemble_is_judged_by_all_folds_together():
    found = result()
    predictor = ConformalPredictor.fit(found.validated, "LAC")
    sets = predictor.predict_sets({fold: part.probabilities for fold, part in found.tested.items()}, 0.9)
    labels = found.combined_predictions.labels
    summary = found.prediction_sets[0]
    assert summary.values["coverage"] == pytest.approx(sets[np.arange(len(labels)), labels].mean())
    assert summary.values["size"] == pytest.approx(sets.sum(axis=1).mean())
    assert summary.intervals["size"].low < summary.values["size"] < summary.intervals["size"].high


def test_pooled_images_are_judged_by_their_own_fold():
    found = result(combination="pooled")
    predictor = ConformalPredictor.fit(found.validated, "APS")
    held = []
    for fold, part in found.tested.items():
        sets = predictor.predict_sets({fold: part.probabilities}, 0.95)
        held += [row[label] for row, label in zip(sets, part.labels, strict=True)]
    summary = next(sets for sets in found.prediction_sets if (sets.kind, sets.level) == ("adaptive", 0.95))
    assert summary.values["coverage"] == pytest.approx(np.mean(held))
    assert len(held) == len(pool(list(found.tested.values())))


def test_files_and_tables_say_the_same():
    found = result()
    described, values = describe_result(found), name_all_values(found)
    first = described["prediction_sets"][0]
    assert first["coverage"]["value"] == values["sets/coverage_at_0.9"]
    assert len(first["class_coverage"]) == len(found.class_names)
    assert described["abstention"]["errors"]["1.0"] == pytest.approx(1 - found.metrics["accuracy"])
    assert make_sets_table(found).rows[0][1].startswith(f"{100 * first['coverage']['value']:.1f}\n")
    assert make_abstention_table(found).rows[0][1] == f"{100 - 100 * found.metrics['accuracy']:.2f}"


def test_several_labels_have_no_sets():
    found = result("multi-label")
    assert (found.prediction_sets, found.abstention) == (None, None)
    assert (make_sets_table(found), make_abstention_table(found)) == (None, None)
    assert describe_result(found)["prediction_sets"] is None


def test_sets_that_do_not_hold_what_they_promise_are_named():
    folds = predicted_folds("multi-class", images=200, skill=3.0)
    assert not any("less often than stated" in limit for limit in list_limits(evaluate_folds(folds, resamples=100)))
    for fold, part in folds.items():
        tested = [name == "test" and row % 2 == 0 for row, name in enumerate(part.parts)]
        turned = np.where(tested, (part.labels + 1) % 3, part.labels)
        folds[fold] = part.change_checked(labels=turned)
    (limit,) = (text for text in list_limits(evaluate_folds(folds, resamples=100)) if "less often than stated" in text)
    assert "least ambiguous, 90%" in limit
