"""The result of a cross-validation, compared with scikit-learn and with what its parts compute alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.predictions import pool
from medmamba_monai.evaluation.results.cross_validation import evaluate_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.temperature_scaling import apply_temperature, fit_temperature
from tests.helpers.predicted_folds import predicted_folds


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
