"""Weighted metrics against scikit-learn with sample weights, and against images repeated as often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.compute import WeightedMetrics, compute_class_metrics, compute_metrics
from medmamba_monai.evaluation.scores import Scores

EXACT = {"rel": 0, "abs": 1e-12}
TASKS = [("binary", 2), ("multi-class", 2), ("multi-class", 5), ("ordinal", 4), ("multi-label", 3)]
SINGLE_LABEL = TASKS[:-1]


def draw(task: str, num_classes: int, seed: int = 0, num_images: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities in multiples of 1/8, so with many ties, and labels of every class."""
    generator = np.random.default_rng(seed)
    if task == "multi-label":
        labels = (generator.random((num_images, num_classes)) < 0.3).astype(int)
        return generator.integers(0, 9, labels.shape) / 8, labels
    probabilities = generator.multinomial(8, generator.dirichlet(np.ones(num_classes), num_images)) / 8
    return probabilities, np.arange(num_images) % num_classes


def named(metrics: WeightedMetrics, values: np.ndarray) -> dict[str, float | list[float]]:
    """One column of values by name; the lists of the single classes as `class auc` and so on."""
    found: dict = {}
    for (name, index), value in zip(metrics.keys, values, strict=True):
        if index is None:
            found[name] = value
        else:
            found.setdefault(f"class {name}", []).append(value)
    return found


def weighted(task: str, num_classes: int) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """All metrics of some images, with the images and their real-valued weights."""
    probabilities, labels = draw(task, num_classes)
    weights = np.random.default_rng(1).exponential(size=len(labels))
    metrics = WeightedMetrics(Scores(probabilities, labels, task))
    return named(metrics, metrics(weights[:, None])[:, 0]), probabilities, labels, weights


@pytest.mark.parametrize(("task", "num_classes"), TASKS)
def test_all_metrics_equal_those_of_repeated_images(task: str, num_classes: int) -> None:
    probabilities, labels = draw(task, num_classes)
    metrics = WeightedMetrics(Scores(probabilities, labels, task))
    weights = np.random.default_rng(1).poisson(1, (120, 3))
    found = metrics(weights.astype(float))
    for column, values in zip(weights.T, found.T, strict=True):
        repeated = np.repeat(probabilities, column, axis=0), np.repeat(labels, column, axis=0)
        per_class = {f"class {name}": values for name, values in compute_class_metrics(Scores(*repeated, task)).items()}
        expected = {**compute_metrics(Scores(*repeated, task)), **per_class}
        assert expected.keys() == named(metrics, values).keys()
        for name, value in named(metrics, values).items():
            assert value == pytest.approx(expected[name], **EXACT), name


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_metrics_of_predictions_equal_scikit_learn(task: str, num_classes: int) -> None:
    found, probabilities, labels, weights = weighted(task, num_classes)
    sample = {"y_true": labels, "y_pred": probabilities.argmax(axis=1)}
    kappa_weights = "quadratic" if task == "ordinal" else None
    expected = {
        "accuracy": sk.accuracy_score(**sample, sample_weight=weights),
        "precision": sk.precision_score(**sample, sample_weight=weights, average="macro"),
        "sensitivity": sk.recall_score(**sample, sample_weight=weights, average="macro"),
        "f1": sk.f1_score(**sample, sample_weight=weights, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(**sample, sample_weight=weights),
        "mcc": sk.matthews_corrcoef(**sample, sample_weight=weights),
        "kappa": sk.cohen_kappa_score(*sample.values(), weights=kappa_weights, sample_weight=weights),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_metrics_of_probabilities_equal_scikit_learn(task: str, num_classes: int) -> None:
    found, probabilities, labels, weights = weighted(task, num_classes)
    truth = np.eye(num_classes)[labels]
    chosen = slice(1, 2) if task == "binary" else slice(None)
    truths, scores = truth[:, chosen], probabilities[:, chosen]
    squares = np.average((scores - truths) ** 2, weights=weights, axis=0).sum()
    assert found["auc"] == pytest.approx(sk.roc_auc_score(truths, scores, sample_weight=weights), **EXACT)
    precision = sk.average_precision_score(truths, scores, sample_weight=weights)
    assert found["average_precision"] == pytest.approx(precision, **EXACT)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities, sample_weight=weights), **EXACT)
    assert found["brier"] == pytest.approx(squares, **EXACT)


CLASS_METRICS: dict[str, Callable] = {
    "precision": lambda y, p, s, w: sk.precision_score(y, p, sample_weight=w),
    "sensitivity": lambda y, p, s, w: sk.recall_score(y, p, sample_weight=w),
    "specificity": lambda y, p, s, w: sk.recall_score(~y, ~p, sample_weight=w),
    "f1": lambda y, p, s, w: sk.f1_score(y, p, sample_weight=w),
    "auc": lambda y, p, s, w: sk.roc_auc_score(y, s, sample_weight=w),
    "average_precision": lambda y, p, s, w: sk.average_precision_score(y, s, sample_weight=w),
    "balanced_accuracy": lambda y, p, s, w: sk.balanced_accuracy_score(y, p, sample_weight=w),
    "mcc": lambda y, p, s, w: sk.matthews_corrcoef(y, p, sample_weight=w),
    "brier": lambda y, p, s, w: sk.brier_score_loss(y, s, sample_weight=w),
}


@pytest.mark.parametrize("name", CLASS_METRICS)
@pytest.mark.parametrize(("task", "num_classes"), TASKS)
def test_class_metrics_equal_scikit_learn(task: str, num_classes: int, name: str) -> None:
    found, probabilities, labels, weights = weighted(task, num_classes)
    truth = labels if task == "multi-label" else np.eye(num_classes)[labels]
    claims = probabilities > 0.5 if task == "multi-label" else np.eye(num_classes)[probabilities.argmax(axis=1)]
    columns = zip(truth.T == 1, claims.T == 1, probabilities.T, strict=True)
    expected = [CLASS_METRICS[name](*column, weights) for column in columns]
    assert found[f"class {name}"] == pytest.approx(expected, **EXACT)
    if task == "multi-label":
        assert found[name] == pytest.approx(np.mean(expected), **EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_auc_without_ties_equals_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores, labels, weights = generator.random(60), np.arange(60) % 3 // 2, generator.random(60)
    metrics = WeightedMetrics(Scores(scores, labels, "binary"))
    found = named(metrics, metrics(weights[:, None])[:, 0])
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, sample_weight=weights), **EXACT)


def test_constant_scores_win_half_of_the_pairs() -> None:
    metrics = WeightedMetrics(Scores(np.full(6, 0.3), [0, 1, 0, 1, 0, 0], "binary"))
    found = named(metrics, metrics(np.arange(1.0, 7)[:, None])[:, 0])
    assert (found["auc"], found["mcc"]) == (0.5, 0)
    assert found["average_precision"] == pytest.approx(6 / 21)


def test_without_a_class_only_means_over_images_are_defined() -> None:
    metrics = WeightedMetrics(Scores(*draw("multi-class", 3), "multi-class"))
    weights = (np.arange(120) % 3 != 2).astype(float)
    found = named(metrics, metrics(weights[:, None])[:, 0])
    defined = {name for name, value in found.items() if not np.isnan(value).any()}
    assert defined == {"accuracy", "brier", "ece", "log_loss", "class brier"}
    assert np.isnan(found["class auc"]).tolist() == [False, False, True]


def test_a_label_that_all_have_is_not_defined() -> None:
    probabilities, labels = draw("multi-label", 3)
    metrics = WeightedMetrics(Scores(probabilities, labels, "multi-label"))
    found = named(metrics, metrics(labels[:, :1].astype(float))[:, 0])
    assert np.isnan(found["class mcc"]).tolist() == [True, False, False]
    assert np.isnan(found["mcc"])


def test_weights_of_other_images_are_an_error() -> None:
    with pytest.raises(UserError, match=r"weights have shape \(119, 2\), not \(120 images"):
        WeightedMetrics(Scores(*draw("binary", 2), "binary"))(np.ones((119, 2)))
