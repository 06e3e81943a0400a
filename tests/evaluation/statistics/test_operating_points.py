"""Thresholds from validation and what they do on test images, against scikit-learn's ROC curve and confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_curve

from medmamba_monai.evaluation.predictions import Combination, Predictions, combine
from medmamba_monai.evaluation.statistics.operating_points import RULES, OperatingPoints, find_operating_points
from tests.helpers.predicted_folds import predicted_folds

YOUDEN, SPECIFIC = RULES


def points(folds: dict[int, Predictions], combination: Combination = "ensemble") -> OperatingPoints:
    tested, validated = ({fold: found.select(part) for fold, found in folds.items()} for part in ("test", "validation"))
    found = find_operating_points(tested, validated, combine(list(tested.values()), combination), combination)
    assert found is not None
    return found


def validation(folds: dict[int, Predictions]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the positive class and labels of all validation images."""
    found = [fold.select("validation") for fold in folds.values()]
    return np.concatenate([part.probabilities[:, 1] for part in found]), np.concatenate([part.labels for part in found])


def test_the_ensembles_threshold_has_the_highest_youden_index_on_all_validation_images():
    folds = predicted_folds("binary")
    (threshold,) = points(folds).thresholds[YOUDEN]
    scores, labels = validation(folds)
    false_positives, sensitivity, _ = roc_curve(labels, scores)
    claimed = scores > threshold
    assert claimed[labels == 1].mean() - claimed[labels == 0].mean() == pytest.approx(
        max(sensitivity - false_positives)
    )


def test_the_other_threshold_has_the_specificity_on_validation_images():
    folds = predicted_folds("binary")
    (threshold,) = points(folds).thresholds[SPECIFIC]
    scores, labels = validation(folds)
    false_positives, sensitivity, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.mean(scores[labels == 0] <= threshold) >= 0.95
    assert np.mean(scores[labels == 1] > threshold) == pytest.approx(max(sensitivity[false_positives <= 0.05]))


@pytest.mark.parametrize("rule", RULES)
def test_the_ensembles_point_is_counted_on_test_images(rule):
    folds = predicted_folds("binary")
    found = points(folds)
    mean = np.mean([fold.select("test").probabilities[:, 1] for fold in folds.values()], axis=0)
    tn, fp, fn, tp = confusion_matrix(folds[0].select("test").labels, mean > found.thresholds[rule][0]).ravel()
    (point,) = found.combined[rule]
    assert (point.tn, point.fp, point.fn, point.tp) == (tn, fp, fn, tp)
    assert (point.sensitivity, point.ppv) == (tp / (tp + fn), tp / (tp + fp))


@pytest.mark.parametrize("rule", RULES)
def test_a_folds_point_uses_its_own_validation(rule):
    folds = predicted_folds("binary")
    alone = points({1: folds[1]})
    assert points(folds).folds[1][rule] == alone.folds[1][rule] == alone.combined[rule]


def test_each_label_has_a_threshold_of_its_own():
    folds = predicted_folds("multi-label")
    found = points(folds)
    assert len(set(found.thresholds[YOUDEN])) == 3
    mean = np.mean([fold.select("test").probabilities for fold in folds.values()], axis=0)
    labels = folds[0].select("test").labels
    for index, point in enumerate(found.combined[YOUDEN]):
        claimed = mean[:, index] > found.thresholds[YOUDEN][index]
        assert (point.tn, point.fp, point.fn, point.tp) == tuple(confusion_matrix(labels[:, index], claimed).ravel())


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_pooled_folds_keep_their_thresholds(task):
    folds = predicted_folds(task, "pooled")
    found = points(folds, "pooled")
    assert found.thresholds is None
    for rule, combined in found.combined.items():
        for index, point in enumerate(combined):
            of_folds = [found.folds[fold][rule][index] for fold in folds]
            for name in ("tp", "fp", "fn", "tn"):
                assert getattr(point, name) == sum(getattr(fold, name) for fold in of_folds)


@pytest.mark.parametrize("task", ["multi-class", "ordinal"])
def test_classes_without_a_positive_one_have_no_operating_points(task):
    folds = predicted_folds(task)
    tested, validated = ({fold: found.select(part) for fold, found in folds.items()} for part in ("test", "validation"))
    assert find_operating_points(tested, validated, combine(list(tested.values()), "ensemble"), "ensemble") is None
