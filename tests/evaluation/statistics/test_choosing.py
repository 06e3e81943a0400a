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


def test_models_of_other_images_are_refused():
    models = make_models([1.0]) | {"other": make_models([1.0], images=100)["model 0"]}
    with pytest.raises(UserError, match="the same images in the same order"):
        compute_cost_of_choosing(models)
    with pytest.raises(UserError, match="no model to choose from"):
        compute_cost_of_choosing({})
