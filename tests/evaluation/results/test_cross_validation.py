"""The result of a cross-validation, compared with scikit-learn and with what its parts compute alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.predictions import pool
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.temperature_scaling import apply_temperature, fit_temperature
from tests.helpers.predicted_folds import NAMES, predicted_folds


def test_the_combination_of_folds_on_one_test_set_is_their_mean():
    folds = predicted_folds("binary")
    result = evaluate_folds(folds, resamples=200)
    mean = np.mean([fold.select("test").probabilities for fold in folds.values()], axis=0)
    labels = folds[0].select("test").labels
    assert result.metrics["auc"] == pytest.approx(sk.roc_auc_score(labels, mean[:, 1]), abs=1e-12)
    assert result.metrics["kappa"] == pytest.approx(sk.cohen_kappa_score(labels, mean.argmax(1)), abs=1e-12)


def test_pooled_folds_are_joined():
    folds = predicted_folds("multi-class", combination="pooled")
    result = evaluate_folds(folds, "pooled", resamples=200)
    joined = np.concatenate([fold.select("test").labels for fold in folds.values()])
    assert len(result.combined) == len(joined)
    assert result.validation is None


@pytest.mark.parametrize("task", ["binary", "multi-class", "ordinal", "multi-label"])
def test_every_task_has_a_result(task):
    result = evaluate_folds(predicted_folds(task), resamples=1000)
    found = result.intervals.metrics["auc"]
    assert isinstance(found, Interval)
    assert found.low < result.metrics["auc"] < found.high
    assert (result.operating_points is None) == (task in ("multi-class", "ordinal"))


def test_groups_are_what_is_resampled():
    grouped = evaluate_folds(predicted_folds("binary", groups=20), resamples=200)
    assert (grouped.intervals.resampling.units, grouped.intervals.resampling.num_units) == ("groups", 20)


def test_thresholds_come_from_validation_alone():
    folds = predicted_folds("binary")
    before = evaluate_folds(folds, resamples=200).operating_points
    other = predicted_folds("binary", seed=1)
    changed = {fold: pool([folds[fold].select("validation"), other[fold].select("test")]) for fold in folds}
    after = evaluate_folds(changed, resamples=200).operating_points
    assert before is not None
    assert after is not None
    assert before.thresholds == after.thresholds
    assert before.combined != after.combined


def test_the_scaled_ensemble_is_the_mean_of_scaled_folds():
    folds = predicted_folds("binary")
    result = evaluate_folds(folds, resamples=200)
    scaled = []
    for fold in folds.values():
        validation, test = fold.select("validation"), fold.select("test")
        temperature = fit_temperature(validation).value
        scaled.append(apply_temperature(test, temperature).probabilities[:, 1])
    brier = sk.brier_score_loss(folds[0].select("test").labels, np.mean(scaled, axis=0))
    assert result.calibration.after["brier"] == pytest.approx(brier, abs=1e-12)


def test_pooled_operating_points_use_each_folds_own_threshold():
    folds = predicted_folds("binary", combination="pooled")
    points = evaluate_folds(folds, "pooled", resamples=200).operating_points
    assert points is not None
    for rule, found in points.combined.items():
        assert found[0].tp == sum(points.folds[fold][rule][0].tp for fold in folds)
        assert found[0].tn == sum(points.folds[fold][rule][0].tn for fold in folds)


def test_no_folds_are_an_error():
    with pytest.raises(UserError, match="at least one finished fold"):
        evaluate_folds({})


def test_a_result_without_a_finished_fold_says_so():
    result = CrossValidationResult("binary", ("a", "b"), "pooled", 3, {}, {1: "killed"})
    assert repr(result) == "CrossValidationResult(0 of 3 folds, binary: no results yet)"
    assert (result.combined, result.missing) == (None, [0, 1, 2])
    assert result.test.headline == "test: no results yet, 0 of 3 folds finished."
    with pytest.raises(UserError, match="none of the 3 folds has finished"):
        result.metrics  # noqa: B018 - it is the reading that raises


def test_a_result_says_what_it_is():
    result = evaluate_folds(predicted_folds("binary"), resamples=200)
    text = repr(result)
    assert text.startswith("CrossValidationResult(3 of 3 folds, binary; ensemble on 60 test images: accuracy ")
    assert f"auc {result.metrics['auc']:.4f}; auc of the folds " in text


def test_numbers_are_computed_once():
    result = evaluate_folds(predicted_folds("binary"), resamples=200)
    for name in ("metrics", "intervals", "fold_metrics", "classes", "operating_points", "calibration", "test"):
        assert getattr(result, name) is getattr(result, name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_folds": 2}, "fold 2 does not exist: the 2 folds are 0 to 1"),
        ({"reasons": {7: "killed"}}, "fold 7 does not exist"),
        ({"resamples": 99}, "--resamples 99, of the bootstrap: give a whole number from 100"),
        ({"seed": -1}, "--seed -1, of the bootstrap"),
    ],
)
def test_a_result_that_cannot_be_is_refused(options, message):
    values = {"num_folds": 3, "folds": predicted_folds("binary"), **options}
    with pytest.raises(UserError, match=message):
        CrossValidationResult("binary", NAMES["binary"], "ensemble", **values)
