"""Prediction sets against MAPIE, against a count by hand, and against the coverage that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.predictions import Predictions
from medmamba_monai.evaluation.statistics.conformal import ConformalPredictor, find_class_coverage, measure_strangeness

METHODS = ("LAC", "APS")


def draw(
    generator: np.random.Generator, images: int, classes: int = 3, sharpness: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (images, classes), and labels that are drawn from them."""
    probabilities = generator.dirichlet([sharpness] * classes, size=images)
    return probabilities, np.array([generator.choice(classes, p=row) for row in probabilities])


def as_validation(probabilities: np.ndarray, labels: np.ndarray) -> Predictions:
    ids = [str(row) for row in range(len(labels))]
    return Predictions(probabilities, labels, "multi-class", ids=ids, parts=["validation"] * len(ids))


class Known(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose input is its output, as MAPIE takes one."""

    classes_ = np.arange(3)

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Known:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features)

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.argmax(features, axis=1)


@pytest.mark.parametrize("images", [21, 60, 137])
def test_sets_of_one_fold_are_those_of_mapie(images):
    generator = np.random.default_rng(images)
    (validated, labels), (tested, _), levels = draw(generator, images), draw(generator, 300), [0.5, 0.8, 0.9, 0.95]
    mapie = SplitConformalClassifier(Known(), confidence_level=levels, conformity_score="lac", prefit=True)
    _, expected = mapie.conformalize(validated, labels).predict_set(tested)
    predictor = ConformalPredictor.fit({0: as_validation(validated, labels)}, "LAC")
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(predictor.predict_sets({0: tested}, level), expected[:, :, number])


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_p_values_of_folds_are_counted_over_all_of_them(method, by_class):
    generator = np.random.default_rng(3)
    folds = {fold: draw(generator, 12 + fold) for fold in (0, 2)}
    tested = {fold: draw(generator, 7)[0] for fold in folds}
    predictor = ConformalPredictor.fit({fold: as_validation(*found) for fold, found in folds.items()}, method)
    p_values = predictor.compute_p_values(tested, by_class)
    for row in range(7):
        for index in range(3):
            compared = stranger = 0
            for fold, (probabilities, labels) in folds.items():
                of_image = measure_strangeness(tested[fold], method)[row, index]
                for strangeness, label in zip(measure_strangeness(probabilities, method), labels, strict=True):
                    if not by_class or label == index:
                        compared += 1
                        stranger += strangeness[label] >= of_image
            assert p_values[row, index] == (1 + stranger) / (1 + compared)


def test_strangeness_by_hand():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    np.testing.assert_array_equal(measure_strangeness(probabilities, "LAC"), [[0.5, 0.7, 0.8], [0.6, 0.6, 0.8]])
    np.testing.assert_array_equal(measure_strangeness(probabilities, "APS"), [[0, 0.5, 0.8], [0, 0, 0.8]])


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_sets_hold_the_truth_as_often_as_stated(method, by_class):
    generator = np.random.default_rng(7)
    held, each = [], []
    for _ in range(200):
        (validated, labels), (tested, truth) = draw(generator, 99), draw(generator, 100)
        predictor = ConformalPredictor.fit({0: as_validation(validated, labels)}, method)
        sets = predictor.predict_sets({0: tested}, 0.9, by_class)
        held.append(sets[np.arange(100), truth].mean())
        each.append(find_class_coverage(sets, truth))
    error = np.std(held) / np.sqrt(len(held))
    assert np.mean(held) >= 0.9 - 3 * error
    if method == "LAC" and not by_class:
        assert np.mean(held) <= 0.9 + 1 / 100 + 3 * error  # the upper bound where nothing is tied
    if by_class:
        assert min(np.nanmean(each, axis=0)) >= 0.89


def test_adaptive_sets_are_never_empty():
    generator = np.random.default_rng(5)
    predictor = ConformalPredictor.fit({0: as_validation(*draw(generator, 200, sharpness=0.05))}, "APS")
    sets = predictor.predict_sets({0: draw(generator, 500)[0]}, 0.5)
    assert sets.any(axis=1).all()


def test_a_class_that_was_never_validated_is_in_every_set_of_its_own():
    probabilities, labels = draw(np.random.default_rng(1), 50)
    rows = labels != 2
    predictor = ConformalPredictor.fit({0: as_validation(probabilities[rows], labels[rows])}, "LAC")
    assert predictor.predict_sets({0: probabilities}, 0.9, by_class=True)[:, 2].all()


def test_what_cannot_be_is_refused():
    probabilities, labels = draw(np.random.default_rng(2), 20)
    predictor = ConformalPredictor.fit({0: as_validation(probabilities, labels)}, "LAC")
    with pytest.raises(UserError, match=r"level is 90: give the share"):
        predictor.predict_sets({0: probabilities}, 90)
    with pytest.raises(UserError, match=r"validation images of each fold's model; missing: \[4\]"):
        predictor.predict_sets({0: probabilities, 4: probabilities}, 0.9)
    several = Predictions([[0.2, 0.9]], [[0, 1]], "multi-label", ids=["a"], parts=["validation"])
    with pytest.raises(UserError, match="multi-label"):
        ConformalPredictor.fit({0: several}, "LAC")
