"""Intervals and differences of models: their meaning, their agreement with each other and their honesty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import list_class_metrics, list_metrics
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.scores import Scores
from medmamba_monai.evaluation.statistics import bootstrap as b
from medmamba_monai.evaluation.statistics.resampling import Interval, Resampling
from medmamba_monai.evaluation.statistics.significance import delong, delong_interval

TASKS = [("binary", 2), ("multi-class", 4), ("ordinal", 3), ("multi-label", 3)]


def given(probabilities: object, labels: object, task: str = "multi-class", groups: object = None) -> Scores:
    return Scores(probabilities, labels, task, groups)  # type: ignore[arg-type]


def draw(task: str = "binary", num_classes: int = 2, num_images: int = 300, skill: float = 1) -> tuple:
    """Labels, and probabilities that know them the better the higher the skill."""
    generator = np.random.default_rng(num_images)
    noise = generator.normal(size=(num_images, num_classes))
    if task == "multi-label":
        labels = (generator.random(noise.shape) < 0.4).astype(int)
        return 1 / (1 + np.exp(1 - noise - skill * labels)), labels
    labels = np.arange(num_images) % num_classes
    return softmax(noise + skill * np.eye(num_classes)[labels], axis=1), labels


@pytest.mark.parametrize(("task", "num_classes"), TASKS)
def test_every_metric_has_an_interval_around_it(task: str, num_classes: int) -> None:
    probabilities, labels = draw(task, num_classes)
    found = b.bootstrap_intervals(given(probabilities, labels, task), resamples=400)
    assert (tuple(found.metrics), tuple(found.classes)) == (list_metrics(task), list_class_metrics(task))
    assert {len(column) for column in found.classes.values()} == {num_classes}
    values = compute_metrics(given(probabilities, labels, task))
    intervals = {name: interval for name, interval in found.metrics.items() if name != "ece"}
    assert all(interval.low < values[name] < interval.high for name, interval in intervals.items())


def test_an_interval_says_how_it_was_made() -> None:
    found = b.bootstrap_intervals(given(*draw(), "binary"), resamples=200, seed=3, level=0.9)
    assert found.resampling == Resampling(level=0.9, resamples=200, seed=3, units="images", num_units=300)
    groups = [f"p{index // 4}" for index in range(300)]
    assert b.bootstrap_intervals(given(*draw(), "binary", groups), 200).resampling.num_units == 75


def test_auc_interval_is_close_to_delong() -> None:
    probabilities, labels = draw()
    found = b.bootstrap_intervals(given(probabilities, labels, "binary")).metrics["auc"]
    expected = delong_interval(probabilities[:, 1], labels).interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_the_seed_decides() -> None:
    first, again, other = (
        b.bootstrap_intervals(given(*draw(), "binary"), resamples=200, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.metrics["auc"] != other.metrics["auc"]


def test_resembling_images_of_a_group_widen_the_interval() -> None:
    probabilities, labels = (np.repeat(values, 4, axis=0) for values in draw(num_images=100))
    groups = [f"p{index // 4}" for index in range(400)]
    images, patients = (
        b.bootstrap_intervals(given(probabilities, labels, "binary", g)).metrics["auc"] for g in (None, groups)
    )
    assert patients.high - patients.low == pytest.approx(2 * (images.high - images.low), rel=0.15)


def test_groups_of_one_image_each_change_nothing() -> None:
    groups = [f"p{index:03}" for index in range(300)]
    alone, grouped = (b.bootstrap_intervals(given(*draw(), "binary", g), 200) for g in (None, groups))
    assert alone.metrics == grouped.metrics


def test_a_perfect_classifier_has_a_reason_and_no_interval() -> None:
    labels = np.arange(100) % 2
    found = b.bootstrap_intervals(given(0.05 + 0.9 * labels, labels, "binary"), resamples=200)
    assert found.metrics["auc"] == "it is 1 in all resamples: resampling cannot show its uncertainty"
    assert found.classes["sensitivity"][1] == found.metrics["accuracy"] == found.metrics["auc"]


def test_constant_scores_have_a_reason_and_no_interval() -> None:
    found = b.bootstrap_intervals(given(np.full(100, 0.3), np.arange(100) % 2, "binary"), resamples=200)
    assert found.metrics["auc"] == "it is 0.5 in all resamples: resampling cannot show its uncertainty"
    assert isinstance(found.metrics["log_loss"], Interval)


def test_a_rare_class_leaves_only_what_needs_no_class() -> None:
    probabilities, labels = draw("multi-class", 3)
    labels[(labels == 2) & (np.arange(300) > 5)] = 0
    found = b.bootstrap_intervals(given(probabilities, labels), resamples=400)
    assert "as a class is absent" in found.metrics["auc"]
    assert isinstance(found.metrics["accuracy"], Interval)
    assert isinstance(found.classes["auc"][1], Interval)


def test_an_absent_class_leaves_only_what_needs_no_class() -> None:
    probabilities, labels = draw("multi-class", 3)
    found = b.bootstrap_intervals(given(probabilities, labels % 2), resamples=200)
    assert found.metrics["f1"] == "it is not defined on these images, as a class is absent"
    assert isinstance(found.metrics["accuracy"], Interval)


def test_one_group_has_a_reason_and_no_interval() -> None:
    found = b.bootstrap_intervals(given(*draw(), "binary", ["p"] * 300), resamples=200)
    assert set(found.metrics.values()) == {"1 independent units are too few to resample: 10 are needed"}


def test_the_mean_of_one_model_with_itself_is_that_model() -> None:
    probabilities, labels = draw()
    single = b.bootstrap_intervals(given(probabilities, labels, "binary"), resamples=200)
    assert b.bootstrap_mean_intervals([given(probabilities, labels, "binary")] * 2, resamples=200) == single


def test_the_mean_of_two_models_lies_between_them() -> None:
    labels, models = draw()[1], [draw(skill=skill)[0] for skill in (0.5, 2)]
    low, high = (
        b.bootstrap_intervals(given(model, labels, "binary"), resamples=400).metrics["auc"] for model in models
    )
    both = b.bootstrap_mean_intervals([given(model, labels, "binary") for model in models], resamples=400).metrics[
        "auc"
    ]
    assert low.low < both.low < high.low
    assert low.high < both.high < high.high


def test_a_difference_is_of_the_metrics() -> None:
    first, second = given(*draw("multi-class", 4)), given(*draw("multi-class", 4, skill=2))
    found = b.bootstrap_differences(first, second, resamples=200).metrics
    expected = {name: value - compute_metrics(second)[name] for name, value in compute_metrics(first).items()}
    assert {name: difference.value for name, difference in found.items()} == pytest.approx(expected, abs=1e-11)


def test_paired_differences_are_close_to_delong() -> None:
    (first, labels), second = draw(), draw(skill=1.2)[0]
    second = 0.7 * second + 0.3 * np.random.default_rng(0).random((300, 1)) * [1, -1] + [0, 0.3]
    found = b.bootstrap_differences(
        given(first[:, 1], labels, "binary"), given(second[:, 1], labels, "binary")
    ).metrics["auc"]
    expected = delong(first[:, 1], second[:, 1], labels)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (expected.interval.low, expected.interval.high), abs=0.006
    )
    assert found.p_value == pytest.approx(expected.p_value, abs=0.03)


def test_swapped_models_swap_the_sign_only() -> None:
    first, second = given(*draw(), "binary"), given(*draw(skill=1.1), "binary")
    forth = b.bootstrap_differences(first, second, resamples=400).metrics["accuracy"]
    back = b.bootstrap_differences(second, first, resamples=400).metrics["accuracy"]
    assert (forth.value, forth.p_value) == (-back.value, back.p_value)


def test_a_large_difference_has_the_smallest_p_value() -> None:
    first, second = given(*draw(), "binary"), given(*draw(skill=4), "binary")
    assert b.bootstrap_differences(first, second, resamples=999).metrics["auc"].p_value == 2 / 1000


def test_equal_models_never_differ() -> None:
    probabilities, labels = draw()
    found = b.bootstrap_differences(
        given(probabilities, labels, "binary"), given(probabilities, labels, "binary"), resamples=200
    ).metrics["log_loss"]
    assert (found.value, found.p_value) == (0, 1)
    assert found.interval == "it is 0 in all resamples: resampling cannot show its uncertainty"


def test_without_an_interval_there_is_no_p_value() -> None:
    labels = np.arange(100) % 2
    found = b.bootstrap_differences(
        given(labels.astype(float), labels, "binary"), given(np.full(100, 0.3), labels, "binary"), resamples=200
    ).metrics["auc"]
    assert (found.value, found.p_value) == (0.5, None)


def test_models_of_other_classes_are_an_error() -> None:
    with pytest.raises(UserError, match=r"models differ in their number of classes: \[2, 3\]"):
        b.bootstrap_differences(
            given(np.full((4, 2), 1 / 2), [0, 1, 0, 1]), given(np.full((4, 3), 1 / 3), [0, 1, 0, 1])
        )


def test_no_model_is_an_error() -> None:
    with pytest.raises(UserError, match="there is no model"):
        b.bootstrap_mean_intervals([])


def test_logits_are_an_error() -> None:
    with pytest.raises(UserError, match="apply softmax"):
        b.bootstrap_intervals(given([[2.0, -1], [0, 1]], [0, 1]))
