"""The plan as a document that people edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.auto.estimate import count_staying, estimate_finals, estimate_plan, estimate_race
from medmamba_monai.auto.plan import Plan, read_plan
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.training.options import TrainingOptions

COSTS = {"start": 10, "evaluation": 2, "review": 5, "package": 3}


def make_candidate(name: str, seconds: float, **values: Any) -> dict[str, Any]:
    return {"name": name, "network_name": "resnet18", "seconds_per_epoch": seconds, **values}


def make_content(**values: Any) -> dict[str, Any]:
    content = {
        **{"dataset": "phantom", "bundle": "bundles/phantom", "budget_seconds": 600, "hold_out": None},
        **{"num_folds": 5, "fold_seed": 0, "views": False, "image_size": 64, "batch_size": 32, "epochs": 10},
        **{"recipe": "augmented", "learning_rate": 0.001, "weight_decay": None, "rounds": [0.2], "finalists": 1},
        "candidates": [make_candidate("quick", 1), make_candidate("slow", 4, epochs=5, learning_rate=0.01)],
        **{"baselines": [make_candidate("paper", 2, recipe="paper")], "costs": COSTS, "reasons": {}},
    }
    return {**content, **values}


def test_what_a_candidate_says_itself_goes_before_what_the_plan_says() -> None:
    plan = Plan.model_validate(make_content(views=True))
    quick, slow = (candidate.options(plan) for candidate in plan.candidates)
    assert (quick["epochs"], quick["learning_rate"], quick["run_name"]) == (10, 0.001, "quick")
    assert (slow["epochs"], slow["learning_rate"], slow["image_size"]) == (5, 0.01, 64)
    assert slow["overrides"] == {"tta": True}
    assert plan.baselines[0].options(plan)["recipe"] == "paper"
    known = CrossValidationOptions.model_fields.keys() | TrainingOptions.model_fields.keys()
    assert quick.keys() <= known


def test_a_probe_has_the_options_of_no_training_and_where_the_weights_are() -> None:
    probe = make_candidate("probe", 1, probe="linear", pretrained=True)
    content = make_content(candidates=[probe], views=True, pretrained="run sha256:0", pretrained_place="weights.pt")
    plan = Plan.model_validate(content)
    options = plan.candidates[0].options(plan)
    assert options.keys().isdisjoint({"epochs", "recipe", "learning_rate", "weight_decay"})
    assert (options["probe"], options["pretrained"], options["overrides"]) == ("linear", "weights.pt", {})
    known = CrossValidationOptions.model_fields.keys() | TrainingOptions.model_fields.keys()
    assert options.keys() <= known


def test_where_the_weights_are_is_kept_beside_a_plan_that_may_be_given_away(tmp_path: Path) -> None:
    content = make_content(pretrained="run sha256:0", pretrained_place="/secret/weights.pt", dataset_dir="images")
    path = Plan.model_validate(content).write(tmp_path)
    assert "/secret" not in path.read_text()
    assert read_plan(tmp_path).pretrained_place == "/secret/weights.pt"


def test_one_edited_line_is_the_plan(tmp_path: Path) -> None:
    path = Plan.model_validate(make_content()).write(tmp_path)
    path.write_text(path.read_text().replace('"image_size": 64', '"image_size": 96'))
    assert read_plan(tmp_path).image_size == 96


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_size": 0}, r"image_size: .*greater than or equal to 1 \(found 0\)"),
        ({"imagesize": 32}, r"imagesize: Extra inputs are not permitted \(found 32\)"),
        ({"rounds": [0.5, 0.2]}, r"rounds: must rise"),
        ({"rounds": [1.5]}, r"rounds\.0: .*less than 1 \(found 1\.5\)"),
        ({"finalists": 3}, r"finalists: 3 of 2 candidates"),
        ({"candidates": [make_candidate("a", 1, network_name="resnet")]}, r"network_name: there is no such network"),
        ({"candidates": [make_candidate("paper", 1)]}, r"two have the name 'paper'"),
        ({"candidates": [make_candidate("../a", 1)]}, r"candidates\.0\.name: .*\(found '\.\./a'\)"),
        ({"candidates": []}, r"candidates: .*at least 1 item"),
        ({"reasons": {"imagesize": "why"}}, r"reasons: 'imagesize' is no field of a plan"),
        ({"bundle": "/etc"}, r"bundle: must be a relative path"),
        (
            {"candidates": [make_candidate("a", 1, probe="knn")]},
            r"candidates\.0: .*probe 'knn' needs features that were learnt: set pretrained to true",
        ),
        (
            {"candidates": [make_candidate("a", 1, probe="knn", pretrained=True, epochs=3)], "pretrained": "run"},
            r"candidates\.0: .*probe 'knn' trains no network: leave epochs null",
        ),
        (
            {"candidates": [make_candidate("a", 1, pretrained=True)]},
            r"pretrained: a begins with starting weights, and the plan has none",
        ),
        (
            {"baselines": [make_candidate("a", 1, probe="knn", pretrained=True)], "pretrained": "run"},
            r"baselines: a probe is no baseline",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(make_content(**change)))
    with pytest.raises(UserError, match=rf"plan\.json: .*{said}"):
        read_plan(tmp_path)


def test_the_race_is_estimated_as_if_the_slowest_stayed() -> None:
    plan = Plan.model_validate(make_content())
    # Round 1: quick to epoch 2, slow to epoch 1; then slow alone to epoch 5.
    assert estimate_race(plan) == (10 + 2 * 1) + (10 + 1 * 4) + (10 + 4 * 4)
    assert estimate_finals(plan) == 4 * (10 + 5 * 4 + 2) + 2 + 5
    assert estimate_plan(plan)["baselines"] == 5 * (10 + 10 * 2 + 2) + 5


def test_a_probe_is_estimated_once_with_its_evaluation() -> None:
    probe = make_candidate("probe", 7, probe="linear", pretrained=True)
    plain = Plan.model_validate(make_content())
    plan = Plan.model_validate(make_content(candidates=[*plain.candidates, probe], pretrained="run sha256:0"))
    assert estimate_race(plan) == estimate_race(plain) + 10 + 7 + 2


def test_the_better_half_stays_and_never_fewer_than_the_finalists() -> None:
    assert [count_staying(7, 2), count_staying(3, 1), count_staying(2, 2), count_staying(1, 2)] == [4, 2, 2, 1]
