"""Every metric against scikit-learn and against counting by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics import confusion as m
from medmamba_monai.evaluation.metrics.calibration import log_loss
from medmamba_monai.evaluation.metrics.catalogue import CLASS_METRICS, METRICS
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics, compute_metrics
from medmamba_monai.evaluation.metrics.ranking import auc
from medmamba_monai.evaluation.scores import Scores, predict_labels

EXACT = {"rel": 0, "abs": 1e-12}
SINGLE_LABEL = [("binary", 2), ("multi-class", 2), ("multi-class", 5), ("ordinal", 4), ("multi-class", 11)]


def given(probabilities: object, labels: object, task: str = "multi-class") -> Scores:
    return Scores(probabilities, labels, task)  # type: ignore[arg-type]


def draw(num_classes: int, seed: int, num_samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities in multiples of 1/8, so with many ties, and labels of every class."""
    generator = np.random.default_rng(seed)
    probabilities = generator.multinomial(8, generator.dirichlet(np.ones(num_classes), num_samples)) / 8
    labels = np.concatenate([np.arange(num_classes), generator.integers(num_classes, size=num_samples - num_classes)])
    return probabilities, labels


def draw_multi_label(seed: int, num_samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.integers(0, 11, (num_samples, 4)) / 10
    labels = (generator.random((num_samples, 4)) < 0.3).astype(int)
    return probabilities, labels


def area_by_pairs(positive: np.ndarray, score: np.ndarray) -> float:
    """The Mann-Whitney statistic: the fraction of (positive, negative) pairs in the right order, ties count half."""
    difference = score[positive][:, None] - score[~positive][None, :]
    return ((difference > 0).sum() + 0.5 * (difference == 0).sum()) / difference.size


def counts(labels: np.ndarray, predicted: np.ndarray, index: int) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives of one class."""
    truth, claim = labels == index, predicted == index
    return (truth & claim).sum(), (~truth & claim).sum(), (truth & ~claim).sum(), (~truth & ~claim).sum()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_macro_metrics_equal_scikit_learn(task: str, num_classes: int, seed: int) -> None:
    probabilities, labels = draw(num_classes, seed)
    predicted = probabilities.argmax(axis=1)
    found = compute_metrics(given(probabilities, labels, task), METRICS)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), **EXACT)
    assert found["precision"] == pytest.approx(
        sk.precision_score(labels, predicted, average="macro", zero_division=0), **EXACT
    )
    assert found["sensitivity"] == pytest.approx(sk.recall_score(labels, predicted, average="macro"), **EXACT)
    assert found["f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"), **EXACT)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_per_class_metrics_equal_counting(task: str, num_classes: int, seed: int) -> None:
    probabilities, labels = draw(num_classes, seed)
    found = compute_class_metrics(given(probabilities, labels, task), CLASS_METRICS)
    for index in range(num_classes):
        tp, fp, fn, tn = counts(labels, probabilities.argmax(axis=1), index)
        assert found["precision"][index] == pytest.approx(tp / (tp + fp) if tp + fp else 0, **EXACT)
        assert found["sensitivity"][index] == pytest.approx(tp / (tp + fn), **EXACT)
        assert found["specificity"][index] == pytest.approx(tn / (tn + fp), **EXACT)
        assert found["f1"][index] == pytest.approx(2 * tp / (2 * tp + fp + fn), **EXACT)
        assert found["auc"][index] == pytest.approx(area_by_pairs(labels == index, probabilities[:, index]), **EXACT)


@pytest.mark.parametrize(("task", "num_classes"), SINGLE_LABEL)
def test_counts_equal_counting(task: str, num_classes: int) -> None:
    probabilities, labels = draw(num_classes, seed=0)
    found = m.confusion_counts(given(probabilities, labels, task))
    for index in range(num_classes):
        expected = counts(labels, probabilities.argmax(axis=1), index)
        assert tuple(found[name][index] for name in ("tp", "fp", "fn", "tn")) == expected


def test_counts_of_several_labels_equal_scikit_learn() -> None:
    probabilities, labels = draw_multi_label(seed=0)
    found = m.confusion_counts(given(probabilities, labels, "multi-label"))
    for index, (truth, score) in enumerate(zip(labels.T, probabilities.T, strict=True)):
        tn, fp, fn, tp = sk.confusion_matrix(truth, score > 0.5).ravel()
        assert {name: column[index] for name, column in found.items()} == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


@pytest.mark.parametrize(("task", "weights"), [("multi-class", None), ("ordinal", "quadratic")])
def test_kappa_is_weighted_where_classes_are_grades(task: str, weights: str | None) -> None:
    probabilities, labels = draw(5, seed=0)
    expected = sk.cohen_kappa_score(labels, probabilities.argmax(axis=1), weights=weights)
    assert m.kappa(given(probabilities, labels, task)) == pytest.approx(expected, **EXACT)
    assert m.kappa(given(np.eye(5)[labels], labels, task)) == 1


def test_a_mistake_by_one_grade_costs_less_than_by_two() -> None:
    near, far = (
        m.kappa(given(np.eye(3)[predicted], [0, 0, 1, 2], "ordinal")) for predicted in ([0, 1, 1, 2], [0, 2, 1, 2])
    )
    assert near > far


def test_several_labels_have_no_kappa() -> None:
    with pytest.raises(UserError, match="kappa of a multi-label task is not defined"):
        m.kappa(given(*draw_multi_label(0), "multi-label"))


def test_specificity_is_the_mean_over_classes() -> None:
    probabilities, labels = draw(5, seed=1)
    per_class = compute_class_metrics(given(probabilities, labels), CLASS_METRICS)["specificity"]
    assert m.specificity(given(probabilities, labels)) == pytest.approx(sum(per_class) / 5, **EXACT)


def test_single_functions_agree_with_all_metrics() -> None:
    probabilities, labels = draw(4, seed=2)
    functions = (m.accuracy, m.precision, m.sensitivity, m.specificity, m.f1, auc)
    expected = {function.__name__: function(given(probabilities, labels)) for function in functions}
    assert compute_metrics(given(probabilities, labels), METRICS) == expected
    assert tuple(expected) == METRICS


@pytest.mark.parametrize("seed", range(5))
def test_multi_class_auc_is_macro_one_versus_rest(seed: int) -> None:
    probabilities, labels = draw(5, seed)
    expected = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert auc(given(probabilities, labels)) == pytest.approx(expected, **EXACT)
    assert auc(given(probabilities, labels, "ordinal")) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_binary_auc_is_that_of_class_one(seed: int) -> None:
    probabilities, labels = draw(2, seed)
    expected = area_by_pairs(labels == 1, probabilities[:, 1])
    assert auc(given(probabilities, labels, "binary")) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_binary_takes_a_single_column(shape: tuple[int, ...]) -> None:
    probabilities, labels = draw(2, seed=3)
    single = probabilities[:, 1].reshape(shape)
    found, expected = (given(values, labels, "binary") for values in (single, probabilities))
    assert compute_metrics(found, METRICS) == compute_metrics(expected, METRICS)


@pytest.mark.parametrize("seed", range(5))
def test_multi_label_metrics_equal_the_mean_over_labels(seed: int) -> None:
    probabilities, labels = draw_multi_label(seed)
    predicted = (probabilities > 0.5).astype(int)
    found = compute_metrics(given(probabilities, labels, "multi-label"), METRICS)
    columns = range(4)
    assert found["accuracy"] == pytest.approx((predicted == labels).mean(), **EXACT)
    for name, judge in (("precision", sk.precision_score), ("sensitivity", sk.recall_score), ("f1", sk.f1_score)):
        assert found[name] == pytest.approx(judge(labels, predicted, average="macro"), **EXACT)
    specificities = [sk.recall_score(labels[:, c], predicted[:, c], pos_label=0) for c in columns]
    assert found["specificity"] == pytest.approx(np.mean(specificities), **EXACT)
    areas = [area_by_pairs(labels[:, c] == 1, probabilities[:, c]) for c in columns]
    assert found["auc"] == pytest.approx(np.mean(areas), **EXACT)


def test_log_loss_equals_its_formula() -> None:
    generator = np.random.default_rng(0)
    probabilities, labels = generator.dirichlet(np.ones(5), 100), generator.integers(5, size=100)
    expected = -np.log(probabilities[np.arange(100), labels]).mean()
    assert log_loss(given(probabilities, labels)) == pytest.approx(expected, **EXACT)


def test_multi_label_log_loss_equals_binary_cross_entropy() -> None:
    generator = np.random.default_rng(0)
    probabilities, labels = generator.uniform(0.01, 0.99, (100, 4)), generator.integers(2, size=(100, 4))
    expected = -(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities)).mean()
    assert log_loss(given(probabilities, labels, "multi-label")) == pytest.approx(expected, **EXACT)


def test_log_loss_of_float32_softmax_warns_of_nothing() -> None:
    probabilities = torch.softmax(torch.randn(64, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert log_loss(given(probabilities, np.arange(64) % 7)) > 0


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    assert log_loss(given([[1.0, 0.0]], [1])) == pytest.approx(-np.log(np.finfo(float).eps))


def test_a_class_never_predicted_has_precision_zero() -> None:
    probabilities, labels = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.2, 0.8, 0.0]], [0, 2, 1]
    assert compute_class_metrics(given(probabilities, labels), CLASS_METRICS)["precision"] == [0.5, 1.0, 0.0]
    assert compute_class_metrics(given(probabilities, labels), CLASS_METRICS)["f1"][2] == 0.0


def test_a_perfect_classifier_scores_one_everywhere() -> None:
    assert set(compute_metrics(given(np.eye(6), np.arange(6)), METRICS).values()) == {1.0}


def test_constant_scores_have_an_auc_of_one_half() -> None:
    assert auc(given(np.full((6, 3), 1 / 3), [0, 1, 2, 0, 1, 2])) == pytest.approx(0.5)


def test_a_tie_goes_to_the_lowest_class() -> None:
    assert predict_labels([[0.4, 0.4, 0.2], [0.0, 0.5, 0.5]], "multi-class").tolist() == [0, 1]
    assert predict_labels([[0.5, 0.5]], "binary").tolist() == [0]
    assert predict_labels([[0.5, 0.51]], "multi-label").tolist() == [[0, 1]]


def test_torch_tensors_are_accepted() -> None:
    probabilities, labels = draw(3, seed=4)
    assert compute_metrics(given(torch.tensor(probabilities), torch.tensor(labels)), METRICS) == compute_metrics(
        given(probabilities, labels), METRICS
    )


def test_values_are_python_floats() -> None:
    probabilities, labels = draw(3, seed=5)
    values = [
        *compute_metrics(given(probabilities, labels), METRICS).values(),
        log_loss(given(probabilities, labels)),
    ]
    assert {type(value) for value in values} == {float}


@pytest.mark.parametrize(
    ("probabilities", "labels", "task", "message"),
    [
        ([[0.5, 0.5]] * 2, [0, 1], "regression", "unknown task 'regression'"),
        ([[np.nan, 0.5], [0.5, 0.5]], [0, 1], "binary", "NaN or infinity in 1 samples, the first is number 0"),
        ([[0.5, 0.5], [np.inf, 0.5]], [0, 1], "binary", "the first is number 1"),
        ([[2.0, -1.0]] * 2, [0, 1], "multi-class", r"from -1 to 2, outside \[0, 1\]: apply softmax"),
        ([[0.5, 0.5], [0.9, 0.9]], [0, 1], "multi-class", "sample 1 sum to 1.8, not 1"),
        ([[0.2, 0.3, 0.5]] * 2, [0, 1], "binary", r"shape \(2, 3\), not \(samples, 2 classes\)"),
        ([0.2, 0.8], [0, 1], "multi-class", r"shape \(2,\), not \(samples, 2 or more classes\)"),
        (np.zeros((0, 2)), [], "binary", r"shape \(0, 2\)"),
        ([[0.5, 0.5]] * 2, [0, 1, 1], "binary", r"shape \(3,\), not \(2,\)"),
        ([[0.5, 0.5]] * 2, [[0], [1]], "binary", r"shape \(2, 1\), not \(2,\)"),
        ([[0.5, 0.5]] * 2, [0, 1], "multi-label", r"shape \(2,\), not \(2, 2\)"),
        ([[0.5, 0.5]] * 2, [0, 2], "binary", "labels range from 0 to 2; this binary task allows 0 to 1"),
        ([[0.5, 0.5]] * 2, [-1, 1], "binary", "labels range from -1"),
        ([[0.5, 0.5]] * 2, [0, 0.5], "binary", "not whole numbers"),
        ([[0.5, 0.5]] * 2, ["cat", "dog"], "binary", "not whole numbers"),
        ([[0.2, 0.3, 0.5]] * 2, [0, 2], "multi-class", "class 1 is in none of the 2 samples, where its AUC"),
        (
            [[0.2, 0.8]] * 2,
            [[0, 1], [1, 1]],
            "multi-label",
            "label 1 is 1 in all of the 2 samples.*each label is 1 in some",
        ),
        ([[0.2, 0.8]] * 2, [[0, 0], [0, 1]], "multi-label", "label 0 is 0 in all of the 2 samples"),
    ],
)
def test_input_that_does_not_fit_raises(probabilities: object, labels: object, task: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compute_metrics(given(probabilities, labels, task), METRICS)


def test_float16_softmax_is_refused() -> None:
    logits = torch.randn(256, 11, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UserError, match="in float32 or better"):
        m.accuracy(given(torch.softmax(logits, dim=1).half(), np.arange(256) % 11))


def test_accuracy_and_log_loss_do_not_need_every_class() -> None:
    assert m.accuracy(given([[0.2, 0.3, 0.5]], [2])) == 1.0
    assert log_loss(given([[0.2, 0.3, 0.5]], [2])) == pytest.approx(np.log(2))
