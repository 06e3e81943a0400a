"""A review of predictions, compared with scikit-learn and with what its parts compute alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import apply_temperature, fit_temperature
from medmamba_monai.evaluation.predictions import pool
from medmamba_monai.evaluation.results.review import review_folds
from medmamba_monai.evaluation.statistics.resampling import Interval
from tests.helpers.predicted_folds import NAMES, predicted_folds


def test_the_combination_of_folds_on_one_test_set_is_their_mean():
    folds = predicted_folds("binary")
    review = review_folds(folds, "binary", NAMES["binary"], resamples=200)
    mean = np.mean([fold.select("test").probabilities for fold in folds.values()], axis=0)
    labels = folds[0].select("test").labels
    assert review.metrics["auc"] == pytest.approx(sk.roc_auc_score(labels, mean[:, 1]), abs=1e-12)
    assert review.metrics["kappa"] == pytest.approx(sk.cohen_kappa_score(labels, mean.argmax(1)), abs=1e-12)


def test_pooled_folds_are_joined():
    folds = predicted_folds("multi-class", combination="pooled")
    review = review_folds(folds, "multi-class", NAMES["multi-class"], "pooled", resamples=200)
    joined = np.concatenate([fold.select("test").labels for fold in folds.values()])
    assert len(review.combined) == len(joined)
    assert review.validation is None


@pytest.mark.parametrize("task", ["binary", "multi-class", "ordinal", "multi-label"])
def test_every_task_is_reviewed(task):
    review = review_folds(predicted_folds(task), task, NAMES[task], resamples=1000)
    found = review.intervals.metrics["auc"]
    assert isinstance(found, Interval)
    assert found.low < review.metrics["auc"] < found.high
    assert (review.operating_points is None) == (task in ("multi-class", "ordinal"))


def test_groups_are_what_is_resampled():
    grouped = review_folds(predicted_folds("binary", groups=20), "binary", NAMES["binary"], resamples=200)
    assert (grouped.intervals.resampling.units, grouped.intervals.resampling.num_units) == ("groups", 20)


def test_thresholds_come_from_validation_alone():
    folds = predicted_folds("binary")
    before = review_folds(folds, "binary", NAMES["binary"], resamples=200).operating_points
    other = predicted_folds("binary", seed=1)
    changed = {fold: pool([folds[fold].select("validation"), other[fold].select("test")]) for fold in folds}
    after = review_folds(changed, "binary", NAMES["binary"], resamples=200).operating_points
    assert before is not None
    assert after is not None
    assert before.thresholds == after.thresholds
    assert before.combined != after.combined


def test_the_scaled_ensemble_is_the_mean_of_scaled_folds():
    folds = predicted_folds("binary")
    review = review_folds(folds, "binary", NAMES["binary"], resamples=200)
    scaled = []
    for fold in folds.values():
        validation, test = fold.select("validation"), fold.select("test")
        temperature = fit_temperature(validation.probabilities, validation.labels, "binary").value
        scaled.append(apply_temperature(test.probabilities, temperature, "binary")[:, 1])
    brier = sk.brier_score_loss(folds[0].select("test").labels, np.mean(scaled, axis=0))
    assert review.calibration.after["brier"] == pytest.approx(brier, abs=1e-12)


def test_pooled_operating_points_use_each_folds_own_threshold():
    folds = predicted_folds("binary", combination="pooled")
    points = review_folds(folds, "binary", NAMES["binary"], "pooled", resamples=200).operating_points
    assert points is not None
    for rule, found in points.combined.items():
        assert found[0].tp == sum(points.folds[fold][rule][0].tp for fold in folds)
        assert found[0].tn == sum(points.folds[fold][rule][0].tn for fold in folds)


def test_no_folds_are_an_error():
    with pytest.raises(UserError, match="at least one finished fold"):
        review_folds({}, "binary", NAMES["binary"])
