"""All metrics of the catalogue against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.calibration import log_loss
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE, METRICS, list_class_metrics, list_metrics
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics, compute_metrics
from medmamba_monai.evaluation.metrics.confusion import kappa
from medmamba_monai.evaluation.scores import Scores

EXACT = {"rel": 0, "abs": 1e-12}
SINGLE_LABEL = [("binary", 2), ("multi-class", 2), ("multi-class", 5), ("ordinal", 4)]


def given(probabilities: object, labels: object, task: str = "multi-class") -> Scores:
    return Scores(probabilities, labels, task)  # type: ignore[arg-type]


def draw(num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.multinomial(8, generator.dirichlet(np.ones(num_classes), 150)) / 8
    return probabilities, np.concatenate([np.arange(num_classes), generator.integers(num_classes, size=150)])[:150]


def draw_multi_label(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 11, (150, 3)) / 10, (generator.random((150, 3)) < 0.3).astype(int)


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_the_metrics_of_the_paper_and_the_loss_are_those_of_metrics(task: str, num_classes: int) -> None:
    sample = draw(num_classes)
    found = compute_metrics(given(*sample, task))
    assert {name: found[name] for name in METRICS} == compute_metrics(given(*sample, task), METRICS)
    assert (found["kappa"], found["log_loss"]) == (kappa(given(*sample, task)), log_loss(given(*sample, task)))


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_single_label_metrics_equal_scikit_learn(task: str, num_classes: int) -> None:
    probabilities, labels = draw(num_classes)
    predicted = probabilities.argmax(axis=1)
    found = compute_metrics(given(probabilities, labels, task))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted), **EXACT)
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(labels, predicted), **EXACT)


def test_binary_average_precision_and_brier_score_are_of_class_one() -> None:
    probabilities, labels = draw(2)
    found = compute_metrics(given(probabilities[:, 1], labels, "binary"))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, probabilities[:, 1]), **EXACT)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, probabilities[:, 1]), **EXACT)


@pytest.mark.parametrize("task", ["multi-class", "ordinal"])
def test_multi_class_average_precision_is_macro_one_versus_rest(task: str) -> None:
    probabilities, labels = draw(5)
    expected = sk.average_precision_score(np.eye(5)[labels], probabilities, average="macro")
    assert compute_metrics(given(probabilities, labels, task))["average_precision"] == pytest.approx(expected, **EXACT)


def test_multi_label_metrics_are_means_over_the_labels() -> None:
    probabilities, labels = draw_multi_label()
    found = compute_metrics(given(probabilities, labels, "multi-label"))
    columns = list(zip(labels.T, probabilities.T, strict=True))
    expected = {
        "average_precision": np.mean([sk.average_precision_score(*column) for column in columns]),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(y, p > 0.5) for y, p in columns]),
        "mcc": np.mean([sk.matthews_corrcoef(y, p > 0.5) for y, p in columns]),
        "brier": np.mean([sk.brier_score_loss(*column) for column in columns]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_class_metrics_are_of_each_class_against_the_rest(task: str, num_classes: int) -> None:
    probabilities, labels = draw(num_classes)
    found = compute_class_metrics(given(probabilities, labels, task))
    assert tuple(found) == list_class_metrics(task)
    for index in range(num_classes):
        truth, claim, score = labels == index, probabilities.argmax(axis=1) == index, probabilities[:, index]
        assert found["average_precision"][index] == pytest.approx(sk.average_precision_score(truth, score), **EXACT)
        assert found["balanced_accuracy"][index] == pytest.approx(sk.balanced_accuracy_score(truth, claim), **EXACT)
        assert found["mcc"][index] == pytest.approx(sk.matthews_corrcoef(truth, claim), **EXACT)
        assert found["brier"][index] == pytest.approx(np.mean((score - truth) ** 2), **EXACT)


def test_a_class_that_is_never_predicted_has_mcc_zero() -> None:
    found = compute_class_metrics(given([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.3]], [0, 1, 2]))
    assert found["mcc"][2] == 0


def test_a_perfect_classifier_reaches_the_best_value_of_every_metric() -> None:
    found = compute_metrics(given(np.eye(3)[[0, 1, 2]], [0, 1, 2]))
    errors = {"brier": 0, "ece": 0, "log_loss": 0}
    assert found == pytest.approx({name: errors.get(name, 1) for name in tuple(CATALOGUE)}, abs=1e-15)


def test_several_labels_have_no_kappa() -> None:
    assert set(CATALOGUE) - set(list_metrics("multi-label")) == {"kappa"}
    assert tuple(compute_metrics(given(*draw_multi_label(), "multi-label"))) == list_metrics("multi-label")


@pytest.mark.parametrize("task", ["binary", "multi-class", "ordinal"])
def test_other_tasks_have_all_metrics(task: str) -> None:
    assert list_metrics(task) == tuple(compute_metrics(given(*draw(2), task))) == tuple(CATALOGUE)


def test_a_missing_class_is_an_error() -> None:
    with pytest.raises(UserError, match="class 1 is in none"):
        compute_metrics(given([[0.6, 0.4], [0.2, 0.8]], [0, 0], "binary"))


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(UserError, match="unknown task 'regression'"):
        list_metrics("regression")
