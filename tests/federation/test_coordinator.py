"""The server's rounds: what it averages, which round it keeps, and what it does without a site."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.coordinator import Coordinator, add_update, average_metrics
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.report import format_results
from medmamba_monai.federation.site_worker import CHECK, START, TRAIN, Answer

TRAINING_IMAGES = {"a": 10, "b": 30}
Metrics = Callable[[str, str, int], dict[str, float]]


def make_facts(site: str, num_folds: int = 1) -> dict[str, Any]:
    images = {"train": [TRAINING_IMAGES[site]], "validation": [10], "test": [10]}
    return {"shared": {"num_folds": num_folds}, "title": "Chest", "images": images}


class Sites:
    """Two sites whose training moves every weight towards a number of their own; silent where they are told to be."""

    def __init__(self, metrics: Metrics, silent: set[tuple[str, str, int]] | None = None, folds_of_b: int = 1) -> None:
        self.metrics, self.silent = metrics, silent or set()
        self.facts = {"a": make_facts("a"), "b": make_facts("b", folds_of_b)}
        self.seen: dict[int, float] = {}

    def ask(self, task, weights, fold, number, sites):
        if task not in (CHECK, START) and weights is not None:
            self.seen[number] = float(weights["w"][0])
        asked = [site for site in sites or TRAINING_IMAGES if (site, task, number) not in self.silent]
        return {site: self.answer(site, task, weights, number) for site in asked}

    def answer(self, site: str, task: str, weights: Any, number: int) -> Answer:
        sent = {START: {"w": np.zeros(2, np.float32), "n": np.array(0)}}.get(task)
        if task == TRAIN:
            sent = {"w": np.full(2, {"a": 4.0, "b": 8.0}[site], np.float32), "n": np.array(5)}
        return Answer(self.facts[site], self.metrics(site, task, number), sent)


def run(folder: Path, sites: Sites, **options: Any) -> dict[str, Any]:
    plan = Plan.of({"rounds": 3, **options}, "one")
    record = FederationRecord(folder, plan, "")
    Coordinator(plan, ["b", "a"], sites.ask, record).run()
    content: dict[str, Any] = json.loads((folder / "federation.json").read_text())
    return content


def score(*by_round: float) -> Metrics:
    """Validation by round, the same at both sites."""

    def tell(site: str, task: str, number: int) -> dict[str, float]:
        values = {
            "validate": {"validation_auc": by_round[number - 1]},
            "evaluate": {"test_auc": {"a": 0.5, "b": 0.7}[site]},
        }
        return values.get(task, {"train_loss": 1.0} if task == TRAIN else {})

    return tell


def test_updates_are_averaged_by_training_images(tmp_path: Path):
    """10 images move by 4 and 30 by 8: by 7 in each round."""
    sites = Sites(score(0.1, 0.2, 0.3))
    content = run(tmp_path, sites)
    assert sites.seen == {1: 7.0, 2: 14.0, 3: 21.0}
    assert [entry["mean"]["train_loss"] for entry in content["folds"]["0"]["rounds"]] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("scores", "best"),
    [((0.1, 0.9, 0.3), 2), ((0.9, 0.9, 0.9), 1), ((0.1, 0.2, 0.3), 3), ((math.nan, math.nan, math.nan), 1)],
)
def test_the_first_of_the_best_rounds_is_tested(tmp_path: Path, scores, best):
    sites = Sites(score(*scores))
    content = run(tmp_path, sites)
    assert content["folds"]["0"]["best_round"] == best
    assert sites.seen[best] == 7.0 * best
    assert content["folds"]["0"]["test"] == {
        "sites": {"a": {"test_auc": 0.5}, "b": {"test_auc": 0.7}},
        "mean": {"test_auc": pytest.approx(0.6)},
    }
    assert "mean of the sites 0.6000" in " ".join(format_results(content).split())


def test_a_site_that_drops_out_is_missed_in_its_round_and_counts_again_later(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", TRAIN, 2), ("b", "validate", 2)})
    content = run(tmp_path, sites, min_sites=1)
    assert sites.seen == {1: 7.0, 2: 11.0, 3: 18.0}
    assert content["silent"] == [
        {"fold": 0, "round": 2, "task": "train", "sites": ["b"]},
        {"fold": 0, "round": 2, "task": "validate", "sites": ["b"]},
    ]
    assert [sorted(entry["sites"]) for entry in content["folds"]["0"]["rounds"]] == [["a", "b"], ["a"], ["a", "b"]]


def test_a_site_that_comes_late_is_checked_and_takes_part(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", CHECK, 0)})
    assert run(tmp_path, sites, min_sites=1)["sites"].keys() == {"a", "b"}
    assert sites.seen == {1: 7.0, 2: 14.0, 3: 21.0}
    assert (tmp_path / "sites" / "b" / "tracking.jsonl").is_file()


def test_a_site_that_comes_late_and_does_not_agree_ends_the_federation(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", CHECK, 0)}, folds_of_b=2)
    with pytest.raises(UserError, match="site b has num_folds 2, but site a 1"):
        run(tmp_path, sites, min_sites=1)


def test_too_few_sites_end_the_federation_and_are_named(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", TRAIN, 2)})
    with pytest.raises(UserError, match=r"round 2, train: 1 of 2 sites answered within 3600 s, needed are 2 .* of b$"):
        run(tmp_path, sites)


def test_the_first_site_that_answers_gives_the_weights_to_start_from(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("a", START, 0)})
    assert run(tmp_path, sites)["folds"]["0"]["best_round"] == 3


def test_no_weights_to_start_from_are_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="no site answered with weights to start from"):
        run(tmp_path, Sites(score(0.1, 0.2, 0.3), silent={("a", START, 0), ("b", START, 0)}))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"min_sites": 3}, "--min_sites 3: there are 2 sites, a, b"), ({"folds": [1]}, "folds 0 to 0")],
)
def test_what_the_sites_cannot_give_is_refused(tmp_path: Path, options, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, Sites(score(0.1, 0.2, 0.3)), **options)


def test_weights_keep_their_types():
    added = add_update({"w": np.ones(2, np.float32), "n": np.array(3)}, {"w": np.ones(2), "n": np.array(2.0)})
    assert {name: (value.dtype, value.tolist()) for name, value in added.items()} == {
        "w": (np.float32, [2.0, 2.0]),
        "n": (np.int64, 5),
    }


def test_a_metric_that_a_site_lacks_is_the_mean_of_the_others():
    assert average_metrics({"a": {}, "b": {"auc": 0.5}}, {"a": 10, "b": 30}) == {"auc": 0.5}
