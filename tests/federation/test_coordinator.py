"""The server's rounds: what it averages, which round it keeps, what it does without a site, and how it goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.coordinator import Coordinator, average_metrics
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.progress import Progress
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.report import format_results, format_silence
from medmamba_monai.federation.site_worker import CHECK, EVALUATE, START, TRAIN, VALIDATE, Answer

TRAINING_IMAGES = {"a": 10, "b": 30}
MOVES = {"a": 4.0, "b": 8.0, "c": 1.0}
Metrics = Callable[[str, str, int], dict[str, float]]


def make_facts(images: int, num_folds: int = 1) -> dict[str, Any]:
    counts = {"train": [images] * num_folds, "validation": [10] * num_folds, "test": [10] * num_folds}
    return {"shared": {"num_folds": num_folds}, "title": "Chest", "images": counts}


class Sites:
    """Sites whose training moves every weight by a number of their own; silent where they are told to be."""

    def __init__(
        self,
        metrics: Metrics,
        silent: Collection[tuple[str, str, int]] = (),
        images: Mapping[str, int] | None = None,
        num_folds: Mapping[str, int] | None = None,
    ) -> None:
        self.metrics, self.silent = metrics, silent
        self.images = images or TRAINING_IMAGES
        self.facts = {site: make_facts(count, (num_folds or {}).get(site, 1)) for site, count in self.images.items()}
        self.seen: dict[int, float] = {}
        self.asked: list[tuple[str, int, int, list[str]]] = []

    def ask(self, task, weights, fold, number, sites):
        self.asked.append((task, fold, number, list(sites)))
        if task not in (CHECK, START) and weights is not None:
            self.seen[number] = float(weights["w"][0])
        answering = [site for site in sites if (site, task, number) not in self.silent]
        return {site: self.answer(site, task, number) for site in answering}

    def answer(self, site: str, task: str, number: int) -> Answer:
        sent = {START: {"w": np.zeros(2, np.float32), "n": np.array(0)}}.get(task)
        if task == TRAIN:
            sent = {"w": np.full(2, MOVES[site], np.float32), "n": np.array(5)}
        return Answer(self.facts[site], self.metrics(site, task, number), sent)


def run(folder: Path, sites: Sites, gone: Collection[str] = (), **options: Any) -> dict[str, Any]:
    plan = Plan.of({"rounds": 3, **options}, "one")
    record = FederationRecord(folder, plan, "")
    Coordinator(plan, [*sites.images][::-1], sites.ask, record, lambda: gone).run()
    content: dict[str, Any] = json.loads((folder / "federation.json").read_text())
    return content


def score(*by_round: float) -> Metrics:
    """Validation by round, the same at both sites."""

    def tell(site: str, task: str, number: int) -> dict[str, float]:
        values = {
            "validate": {"validation_auc": by_round[number - 1]},
            "evaluate": {"test_auc": {"a": 0.5, "b": 0.7, "c": 0.9}[site]},
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
    ("images", "first"),
    [
        ({"a": 10, "b": 30, "c": 60}, (10 * 4 + 30 * 8 + 60 * 1) / 100),
        ({"a": 1, "b": 1, "c": 1}, 13 / 3),
        ({"a": 2, "b": 96, "c": 2}, (2 * 4 + 96 * 8 + 2 * 1) / 100),
    ],
)
def test_three_sites_count_by_their_training_images_whatever_their_classes(tmp_path: Path, images, first):
    sites = Sites(score(0.1, 0.2, 0.3), images=images)
    run(tmp_path, sites)
    assert sites.seen[1] == pytest.approx(first, rel=1e-6)
    assert sites.seen[3] == pytest.approx(3 * first, rel=1e-6)


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
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", CHECK, 0)}, num_folds={"b": 2})
    with pytest.raises(UserError, match="site b has num_folds 2, but site a 1"):
        run(tmp_path, sites, min_sites=1)


def test_too_few_sites_end_the_federation_and_are_named(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("b", TRAIN, 2)})
    message = r"round 2, train: 1 of 2 sites answered, needed are 2 .*: site b failed, or took more than 3600 s; look"
    with pytest.raises(UserError, match=message):
        run(tmp_path, sites)


def test_sites_none_of_which_answers_end_the_federation(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3), silent={("a", CHECK, 0), ("b", CHECK, 0)})
    with pytest.raises(UserError, match=r"check: 0 of 2 sites answered, needed are 2 .*: site a failed, or took more"):
        run(tmp_path, sites)


def test_a_site_that_is_gone_is_not_asked_and_the_others_go_on(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3))
    content = run(tmp_path, sites, gone=["b"], min_sites=1)
    assert {tuple(asked) for *_, asked in sites.asked} == {("a",)}
    assert sites.seen == {1: 4.0, 2: 8.0, 3: 12.0}
    assert format_silence(content).startswith("missed b: fold 0 round 0 check, fold 0 round 1 train, ")


def test_too_few_sites_that_are_not_gone_end_the_federation_at_once(tmp_path: Path):
    sites = Sites(score(0.1, 0.2, 0.3))
    message = r"check: 1 of 2 sites are there, .*: site b is gone, with no sign of life for 45 s; look into the logs"
    with pytest.raises(UserError, match=message):
        run(tmp_path, sites, gone=["b"], lost_after=45)
    assert sites.asked == []


class Stopped(Exception):
    """The server of a federation is killed."""


def stop_at(task: str, fold: int, number: int, metrics: Metrics, num_folds: int) -> Sites:
    """Two sites of whose server nothing remains when it asks for something."""
    sites = Sites(metrics, num_folds={"a": num_folds, "b": num_folds})
    ask = sites.ask

    def stop(*asked):
        if asked[0] == task and asked[2:4] == (fold, number):
            raise Stopped
        return ask(*asked)

    sites.ask = stop  # type: ignore[method-assign]
    return sites


@pytest.mark.parametrize(
    ("where", "goes_on"),
    [
        ((TRAIN, 0, 1), (START, 0, 0)),
        ((VALIDATE, 0, 2), (TRAIN, 0, 2)),
        ((TRAIN, 0, 3), (TRAIN, 0, 3)),
        ((EVALUATE, 0, 2), (EVALUATE, 0, 2)),
        ((START, 1, 0), (START, 1, 0)),
        ((VALIDATE, 1, 3), (TRAIN, 1, 3)),
    ],
)
def test_a_federation_whose_server_was_killed_goes_on_to_the_same_end(tmp_path: Path, where, goes_on):
    scores = score(0.1, 0.9, 0.3)
    undisturbed = run(tmp_path / "undisturbed", Sites(scores, num_folds={"a": 2, "b": 2}))
    with pytest.raises(Stopped):
        run(tmp_path / "killed", stop_at(*where, scores, 2))
    after = Sites(scores, num_folds={"a": 2, "b": 2})
    assert run(tmp_path / "killed", after) == undisturbed
    assert [entry[:3] for entry in after.asked[:2]] == [(CHECK, 0, 0), goes_on]
    weights = [Progress.read(tmp_path / name / "fold_1" / "progress.safetensors") for name in ("undisturbed", "killed")]
    assert [(found.number, found.best, found.score) for found in weights] == [(3, 2, 0.9)] * 2
    assert [found.kept["w"].tolist() for found in weights if found.kept] == [[14.0, 14.0]] * 2


def give_key(sites: Sites, key: str) -> Sites:
    sites.facts = {site: {**facts, "encryption_key": key} for site, facts in sites.facts.items()}
    return sites


def test_weights_that_were_encrypted_with_another_key_are_not_gone_on_with(tmp_path: Path):
    """They would be decrypted to noise; when the sites have the key again, the federation goes on."""
    scores = score(0.1, 0.9, 0.3)
    with pytest.raises(Stopped):
        run(tmp_path, give_key(stop_at(TRAIN, 0, 3, scores, 1), "first"))
    other, again = (give_key(Sites(scores), key) for key in ("second", "first"))
    with pytest.raises(UserError, match="fold 0: the weights after round 2 are encrypted with another key than"):
        run(tmp_path, other)
    run(tmp_path, again)
    assert [entry[:3] for entry in other.asked] == [(CHECK, 0, 0)]
    assert [entry[:3] for entry in again.asked[:2]] == [(CHECK, 0, 0), (TRAIN, 0, 3)]


def test_the_server_tells_its_store_of_one_run_however_often_it_is_stopped(tmp_path: Path):
    with pytest.raises(Stopped):
        run(tmp_path, stop_at(TRAIN, 0, 2, score(0.1, 0.9, 0.3), 1))
    run(tmp_path, Sites(score(0.1, 0.9, 0.3)))
    lines = [json.loads(line) for line in (tmp_path / "tracking.jsonl").read_text().splitlines()]
    assert [line["op"] for line in lines].count("start") == 1
    assert [line["status"] for line in lines if line["op"] == "status"][-1] == "FINISHED"


@pytest.mark.parametrize(
    ("identity", "options", "message"),
    [
        ("two", {}, "holds another federation; give this one another --run_name"),
        ("one", {"learning_rate": 0.5}, "holds a federation with learning_rate None, but 0.5 is asked for"),
        ("one", {"rounds": 4}, "holds a federation with rounds 3, but 4 is asked for"),
    ],
)
def test_the_results_of_another_federation_are_not_gone_on_with(tmp_path: Path, identity, options, message):
    run(tmp_path, Sites(score(0.1, 0.2, 0.3)))
    with pytest.raises(UserError, match=message):
        FederationRecord(tmp_path, Plan.of({"rounds": 3, **options}, identity), "")
    FederationRecord(tmp_path, Plan.of({"rounds": 3, "min_sites": 1, "timeout": 5, "lost_after": 7}, "one"), "")


def test_damaged_progress_is_told_with_what_to_do(tmp_path: Path):
    path = tmp_path / "progress.safetensors"
    path.write_bytes(b"half")
    with pytest.raises(
        UserError, match=r"progress.safetensors: cannot be read as .*; remove it to train the fold anew"
    ):
        Progress.read(path)


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
    added = Averaging().add({"w": np.ones(2, np.float32), "n": np.array(3)}, {"w": np.ones(2), "n": np.array(2.0)})
    assert {name: (value.dtype, value.tolist()) for name, value in added.items()} == {
        "w": (np.float32, [2.0, 2.0]),
        "n": (np.int64, 5),
    }


def test_a_metric_that_a_site_lacks_is_the_mean_of_the_others():
    assert average_metrics({"a": {}, "b": {"auc": 0.5}}, {"a": 10, "b": 30}) == {"auc": 0.5}
