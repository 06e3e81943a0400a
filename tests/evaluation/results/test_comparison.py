"""What a comparison claims, with models whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.reports.comparison_tables import (
    explain_correction,
    format_p,
    name_comparison_values,
    write_sentences,
)
from medmamba_monai.evaluation.results.comparison import Model, compare, compute_test_to_train_ratio
from medmamba_monai.evaluation.statistics.significance import delong
from tests.helpers.predicted_folds import predicted_folds


def model(name: str, skill: float, seed: int, task: str = "binary", repetitions: int = 1, **options) -> Model:
    runs = [predicted_folds(task, skill=skill, seed=seed + run, **options) for run in range(repetitions)]
    return Model(name, runs)


def compared(*models: Model, combination: str = "ensemble"):
    return compare(models, combination, resamples=300)


def test_a_clear_difference_is_claimed():
    found = compared(model("good", 1.5, 0, num_folds=5), model("bad", 0.0, 10, num_folds=5))
    assert found.pairs[0].tests["auc"].verdict == "better"
    assert "good is better than bad, on these images (DeLong's test" in write_sentences(found)[0]


def test_the_order_of_the_models_does_not_change_who_is_better():
    found = compared(model("bad", 0.0, 10, num_folds=5), model("good", 1.5, 0, num_folds=5))
    assert found.pairs[0].tests["auc"].verdict == "worse"
    assert "good is better than bad" in write_sentences(found)[0]


def test_models_of_equal_skill_are_not_told_apart():
    found = compared(model("a", 0.7, 0), model("b", 0.7, 10))
    assert {tests.verdict for tests in found.pairs[0].tests.values()} == {"no difference shown"}
    assert all("No difference is shown" in text for text in write_sentences(found))


def test_a_difference_that_trainings_do_not_repeat_is_not_claimed_of_networks():
    good, bad = predicted_folds("binary", skill=3), predicted_folds("binary", skill=-2, seed=5)
    uneven = Model("uneven", [{0: good[0], 1: good[1], 2: bad[2]}])
    found = compared(uneven, model("steady", 0.0, 20))
    assert found.pairs[0].tests["auc"].verdict == "these models differ"
    assert "which network is better is not shown" in write_sentences(found)[0]


def test_the_same_predictions_have_no_difference():
    found = compared(model("a", 1.0, 0), model("copy", 1.0, 0))
    tests = found.pairs[0].tests["auc"]
    assert (tests.image_p, tests.fold_p, tests.verdict) == (1.0, 1.0, "no difference shown")


def test_the_values_are_those_of_the_mean_probabilities():
    runs = [predicted_folds("binary", seed=seed) for seed in (0, 1)]
    found = compared(Model("a", runs), model("b", 0.5, 7, repetitions=2))
    tests = [[fold.select("test") for fold in run.values()] for run in runs]
    mean = np.mean([part.probabilities for run in tests for part in run], axis=0)
    assert found.metrics["a"]["auc"] == pytest.approx(sk.roc_auc_score(tests[0][0].labels, mean[:, 1]), abs=1e-12)
    assert len(found.run_metrics["a"]) == 2
    assert "2 repetitions averaged" in explain_correction(found)


def test_the_tests_are_delongs_and_mcnemars_on_the_combinations():
    first, second = model("a", 1.0, 0), model("b", 0.5, 3)
    tests = compared(first, second).pairs[0].tests
    a, b = first.combine("ensemble"), second.combine("ensemble")
    p = delong(a.probabilities[:, 1], b.probabilities[:, 1], a.labels).p_value
    assert tests["auc"].over_images == ("DeLong's test", p)
    right, also = a.predicted == a.labels, b.predicted == b.labels
    only = int((right & ~also).sum()), int((~right & also).sum())
    assert tests["accuracy"].over_images.p_value == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)


def test_groups_replace_mcnemars_test_by_the_bootstrap():
    found = compared(model("a", 1.0, 0, groups=20), model("b", 0.5, 3, groups=20))
    assert found.pairs[0].tests["accuracy"].over_images.name == "paired bootstrap"
    assert found.pairs[0].differences.resampling.units == "groups"


@pytest.mark.parametrize("task", ["multi-class", "ordinal", "multi-label"])
def test_a_mean_auc_is_tested_by_the_bootstrap(task):
    found = compared(model("a", 1.0, 0, task), model("b", 0.5, 3, task))
    assert found.pairs[0].tests["auc"].over_images.name == "paired bootstrap"


def test_holms_correction_is_over_all_pairs_and_metrics():
    found = compared(model("a", 1.0, 0), model("b", 0.9, 3), model("c", 0.2, 6))
    raw = [tests.over_images.p_value for pair in found.pairs for tests in pair.tests.values()]
    adjusted = [tests.image_p for pair in found.pairs for tests in pair.tests.values()]
    assert len(raw) == 6
    assert min(adjusted) == pytest.approx(min(1, 6 * min(raw)))
    assert "for 6 tests" in explain_correction(found)


def test_pooled_folds_are_compared():
    found = compared(
        model("a", 1.5, 0, combination="pooled"), model("b", 0.1, 3, combination="pooled"), combination="pooled"
    )
    assert found.pairs[0].tests["auc"].image_p < 0.05


def test_the_ratio_is_held_out_to_training_images():
    assert compute_test_to_train_ratio(predicted_folds("binary", num_folds=5), "ensemble") == pytest.approx(1 / 4)
    pooled = predicted_folds("binary", "pooled", num_folds=5)  # 300 images, 60 test a fold, 60 chose its epoch
    assert compute_test_to_train_ratio(pooled, "pooled") == pytest.approx(60 / 180)


def test_numbers_for_mlflow_have_names_of_the_models_places():
    values = name_comparison_values(compared(model("a", 1.0, 0), model("b", 0.5, 3)))
    assert values["difference_0_1/auc"] == pytest.approx(values["model_0/auc"] - values["model_1/auc"], abs=1e-9)
    assert values["difference_0_1/auc_low"] < values["difference_0_1/auc"] < values["difference_0_1/auc_high"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([model("a", 1, 0)], "two or more models"),
        ([model("a", 1, 0), model("a", 1, 1)], "different names"),
        ([model("a", 1, 0), model("b", 1, 1, repetitions=2)], "same number of repetitions"),
        ([model("a", 1, 0), model("b", 1, 1, images=66)], "not the same images"),
    ],
)
def test_what_cannot_be_compared_is_refused(models, message):
    with pytest.raises(UserError, match=message):
        compared(*models)


def test_p_values_are_never_rounded_to_zero():
    assert [format_p(p) for p in (0.04567, 0.00001, None)] == ["0.046", "1.0e-05", "not testable"]
