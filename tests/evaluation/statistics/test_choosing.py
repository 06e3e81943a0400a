from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import Scores
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.statistics.choosing import compute_cost_of_choosing, order_by_score


def make_models(separations, images=120, seed=0, groups=None):
    """Models whose scores are noise, apart from what separates the classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    noise = generator.normal(size=(len(separations), images))
    logits = noise + np.array(separations)[:, None] * labels
    return {
        f"model {number}": Scores(1 / (1 + np.exp(-row)), labels, "binary", groups=groups)
        for number, row in enumerate(logits)
    }


def test_the_best_by_auc_is_chosen_and_of_a_tie_the_one_with_the_lower_log_loss():
    assert order_by_score(np.array([0.9, 0.95, 0.8]), np.array([0.1, 0.9, 0.1])).tolist() == [1, 0, 2]
    assert order_by_score(np.array([0.99991, 0.99994, 0.5]), np.array([0.2, 0.3, 0.1])).tolist() == [0, 1, 2]
    assert order_by_score(np.array([0.7, 0.7]), np.array([0.5, 0.5])).tolist() == [0, 1]


def test_among_models_that_know_nothing_the_best_one_is_worth_chance():
    found = []
    for seed in range(8):
        models = make_models([0.0] * 12, images=80, seed=seed)
        found.append(compute_cost_of_choosing(models, resamples=100))
        best = max(compute_metrics(model, ["auc"])["auc"] for model in models.values())
        assert found[-1].auc == pytest.approx(best)
    assert np.mean([cost.auc for cost in found]) > 0.57
    assert abs(np.mean([cost.corrected for cost in found]) - 0.5) < 0.035
    one = found[0]
    assert one.interval.low < 0.5 < one.interval.high
    assert one.optimism == pytest.approx(one.auc - one.corrected)
    assert sum(one.shares.values()) == pytest.approx(1)


def test_a_choice_that_was_never_in_doubt_costs_nothing():
    found = compute_cost_of_choosing(make_models([3.0, 0.0]), resamples=200)
    assert (found.chosen, found.shares) == ("model 0", {"model 0": 1.0, "model 1": 0.0})
    assert abs(found.optimism) < 0.005
    alone = compute_cost_of_choosing(make_models([1.0]), resamples=200)
    assert abs(alone.optimism) < 0.01


def test_groups_are_drawn_together():
    groups = tuple(f"patient {number // 4}" for number in range(120))
    found = compute_cost_of_choosing(make_models([1.0, 0.5], groups=groups), resamples=100)
    assert (found.resampling.units, found.resampling.num_units) == ("groups", 30)


def test_where_a_class_is_rare_there_is_no_interval_and_without_a_resample_no_correction():
    labels = np.arange(60) < 3
    scores = [np.where(labels, high, 0.4) + 0.001 * np.arange(60) for high in (0.5, 0.41)]
    rare = compute_cost_of_choosing({f"{row[0]}": Scores(row, labels, "binary") for row in scores}, resamples=200)
    assert 0.05 * 200 < rare.left_out < 200
    assert rare.interval is None
    assert rare.optimism == pytest.approx(rare.auc - rare.corrected)
    alone = np.arange(20) < 1  # whatever is drawn, one side has no positive
    never = compute_cost_of_choosing({"a": Scores(np.linspace(0.9, 0.1, 20), alone, "binary")}, resamples=100)
    assert (never.left_out, never.corrected, never.optimism, never.interval) == (100, None, None, None)
    few = make_models([1.0, 0.5], groups=tuple(f"patient {number // 20}" for number in range(120)))
    assert compute_cost_of_choosing(few, resamples=100).interval is None


@pytest.mark.parametrize("task", ["multi-class", "ordinal", "multi-label"])
def test_every_task_has_a_choice_that_is_that_of_its_metrics(task):
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3 if task != "multi-label" else generator.integers(0, 2, (90, 3))
    right = np.eye(3)[labels] if task != "multi-label" else labels
    models = {}
    for name, weight in {"poor": 0.5, "good": 3.0}.items():
        odds = np.exp(weight * right + generator.normal(size=(90, 3)))
        values = odds / (1 + odds) if task == "multi-label" else odds / odds.sum(axis=1, keepdims=True)
        models[name] = Scores(values, labels, task)
    found = compute_cost_of_choosing(models, resamples=100)
    assert found.chosen == "good"
    assert found.auc == pytest.approx(compute_metrics(models["good"], ["auc"])["auc"])
    assert found.left_out == 0
    assert found.interval.low < found.corrected < found.interval.high


def test_models_of_other_images_are_refused():
    models = make_models([1.0]) | {"other": make_models([1.0], images=100)["model 0"]}
    with pytest.raises(UserError, match="the same images in the same order"):
        compute_cost_of_choosing(models)
    with pytest.raises(UserError, match="no model to choose from"):
        compute_cost_of_choosing({})
