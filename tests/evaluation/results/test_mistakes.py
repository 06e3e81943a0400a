"""The cases that a review shows, against cases that were put together by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.evaluation import Predictions
from medmamba_monai.evaluation.results.mistakes import Case, find_least_certain, find_mistakes
from tests.helpers.predicted_folds import predicted_folds


def predictions(labels: object, probabilities: object, names: tuple[str, ...] = ("cat", "dog")) -> Predictions:
    ids = [f"image-{row}" for row in range(len(np.asarray(labels)))]
    task = "multi-label" if np.ndim(labels) == 2 else "multi-class"
    return Predictions(probabilities, labels, task, ids=ids, parts=["test"] * len(ids), class_names=names)


THREE = predictions([0, 1, 1, 0], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])


def test_the_surest_mistake_comes_first():
    found = find_mistakes(THREE, 5)
    assert found == [
        Case("image-1", "dog", "cat", pytest.approx(0.8), pytest.approx(0.2)),
        Case("image-3", "cat", "dog", pytest.approx(0.7), pytest.approx(0.3)),
    ]


def test_no_more_than_asked_for():
    assert [case.id for case in find_mistakes(THREE, 1)] == ["image-1"]


def test_a_model_without_mistakes_has_none_to_show():
    assert find_mistakes(predictions([0, 1], [[1.0, 0.0], [0.4, 0.6]]), 5) == []


def test_equally_sure_mistakes_keep_the_order_of_the_images():
    equal = predictions([1, 1, 1], [[0.75, 0.25]] * 3)
    assert [case.id for case in find_mistakes(equal, 3)] == ["image-0", "image-1", "image-2"]


def test_the_closest_call_comes_first_right_or_wrong():
    several = predictions([0, 1, 2], [[0.5, 0.1, 0.4], [0.33, 0.36, 0.31], [0.5, 0.01, 0.49]], ("a", "b", "c"))
    found = find_least_certain(several, 2)
    assert [(case.id, case.true, case.predicted) for case in found] == [("image-2", "c", "a"), ("image-1", "b", "b")]


def test_a_missed_label_and_one_that_is_not_there_are_mistakes():
    several = predictions([[1, 0], [0, 1]], [[0.1, 0.4], [0.7, 0.9]], ("Mass", "Edema"))
    assert find_mistakes(several, 5) == [
        Case("image-0", "Mass", "no Mass", pytest.approx(0.9), pytest.approx(0.1)),
        Case("image-1", "no Mass", "Mass", pytest.approx(0.7), pytest.approx(0.3)),
    ]


def test_a_label_is_least_certain_beside_one_half():
    several = predictions([[1, 0], [0, 1]], [[0.1, 0.45], [0.52, 0.9]], ("Mass", "Edema"))
    found = find_least_certain(several, 2)
    assert [(case.id, case.true, case.predicted) for case in found] == [
        ("image-1", "no Mass", "Mass"),
        ("image-0", "no Edema", "no Edema"),
    ]
    assert found[1].probability == found[1].true_probability == pytest.approx(0.55)


@pytest.mark.parametrize("task", ["binary", "multi-class", "multi-label"])
def test_mistakes_are_those_of_the_predicted_classes(task):
    tested = predicted_folds(task)[0].select("test")
    found = find_mistakes(tested, tested.labels.size)
    assert len(found) == np.sum(tested.predicted != tested.labels)
    assert [case.probability for case in found] == sorted((case.probability for case in found), reverse=True)
    assert all(case.probability >= case.true_probability for case in found)
