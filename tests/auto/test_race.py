"""The race: who stays, who leaves, what is given up; with folds that cost a file in place of a training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medmamba_monai.auto.contenders import Contender
from medmamba_monai.auto.estimate import count_epochs
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.race import Race
from medmamba_monai.auto.record import Ledger, Record
from medmamba_monai.auto.trainings import OutOfTime, Training
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.evaluation import Predictions, write_predictions
from medmamba_monai.tracking.journal import Journal
from tests.auto.test_plan import make_candidate, make_content

CARD = SimpleNamespace(task="binary", display_names=("no", "yes"))


class WrittenFolds:
    """What runs folds, with a journal, checkpoints and predictions that are written in place of a training.

    Args:
        folder: of the cross-validation.
        quality: how well the classes are told; the AUC rises with it.
        epochs: of a training; None for a probe.
    """

    def __init__(self, folder: Path, quality: float, epochs: int | None) -> None:
        self.folder, self.quality, self.epochs = RunFolder(folder), quality, epochs
        self.failures: dict[int, str] = {}
        self.plan = SimpleNamespace(card=CARD, starts_afresh=False, options=SimpleNamespace(launcher="local", jobs=1))
        self.calls: list[tuple[int, int | None]] = []
        self.tracked_run = SimpleNamespace(journal=Journal(folder), finish=lambda *told: None)

    def start(self) -> None:
        self.folder.path.mkdir(parents=True, exist_ok=True)

    def run_folds(self, folds, server, on_look, pause_after=None) -> None:
        (fold,) = folds
        self.calls.append((fold, pause_after))
        on_look()
        place, until = self.folder.fold(fold), pause_after or self.epochs
        (place.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        if until is None or self.epochs is None:
            self.finish(fold)
            return
        (place.path / "checkpoints" / f"checkpoint_epoch={until:04d}.pt").touch()
        values = {"validation/auc": 0.5 + self.quality / 10, "validation/loss": 0.7 - self.quality / 10}
        Journal(place.path).log_metrics(values, until)
        training = {"epochs": until, "best_epoch": until, "seconds": 1.0}
        paused = {"paused_of": self.epochs} if until < self.epochs else {}
        place.training.write_text(json.dumps({**training, **paused}))
        if not paused:
            self.finish(fold)

    def make_cluster_jobs(self, folds, gpus, pause_after) -> list[FoldJob]:
        return [FoldJob(fold, self.folder.fold(fold).path, {"pause_after": pause_after}) for fold in folds]

    def note_end(self, job: FoldJob, code: int) -> None:
        if code:
            self.failures[job.fold] = f"exit code {code}"

    def finish(self, fold: int) -> None:
        write_predictions(self.folder.fold(fold).predictions, self.predict(fold))
        self.folder.fold(fold).result.write_text("{}")

    def predict(self, fold: int) -> Predictions:
        labels = np.arange(20) % 2
        scores = np.clip(0.5 + self.quality / 20 * (labels - 0.5) + 0.04 * np.sin(np.arange(20) * 2.1), 0, 1)
        return Predictions(
            scores, labels, "binary", ids=[f"{fold}_{row}" for row in range(20)], parts=["validation"] * 20
        )


class WrittenJobs:
    """A scheduler whose jobs write their folds when they are submitted.

    Args:
        contenders: whose folds they are.
        hold: names of those whose jobs never end by themselves.
        fail: of those whose jobs fail.
    """

    title, gpus, at_once, logs = "a scheduler", 0, None, "nowhere"

    def __init__(self, contenders: dict[str, Contender], hold: Sequence[str] = (), fail: Sequence[str] = ()) -> None:
        self.contenders, self.hold, self.fail = contenders, hold, fail
        self.submitted: list[list[str]] = []
        self.alive: dict[str, str] = {}
        self.cancelled: list[str] = []

    def submit(self, jobs: Sequence[FoldJob]) -> list[str]:
        names = [f"{job.directory.parent.name}_{job.fold}" for job in jobs]
        self.submitted.append(names)
        for job, name in zip(jobs, names, strict=True):
            running = self.contenders[job.directory.parent.name].running
            if name in self.hold:
                self.alive[name] = "running"
            elif name not in self.fail:
                running.run_folds([job.fold], None, lambda: None, job.content["pause_after"])
            code = 7 if name in self.fail else 0
            RunFolder(job.directory).exit_code.write_text(json.dumps({"job": name, "code": code}))
        return names

    def list_jobs(self) -> dict[str, str]:
        return dict(self.alive)

    def cancel(self, names: Sequence[str]) -> str:
        self.cancelled += names
        self.alive.clear()
        return ""


def make_cluster_race(folder: Path, qualities: dict[str, float], **values: Any) -> tuple[Race, WrittenJobs]:
    """The same race with its trainings as jobs; what is held or fails is said in the values."""
    jobs = WrittenJobs({}, values.pop("hold", ()), values.pop("fail", ()))
    race = make_race(folder, qualities, **values)
    for contender in race.contenders.values():
        contender.running.plan.options = SimpleNamespace(launcher="slurm", jobs="auto")
    jobs.contenders, race.trainer.scheduler = race.contenders, jobs
    return race, jobs


def make_race(folder: Path, qualities: dict[str, float], **values: Any) -> Race:
    """A race of candidates of these qualities, as it is or goes on in a folder; those named probes are no trainings."""
    probe = {"probe": "knn", "pretrained": True}
    candidates = [make_candidate(name, 1.0, **(probe if name.startswith("probe") else {})) for name in qualities]
    values = {"finalists": 1, "pretrained": "run", **values}
    content = make_content(candidates=candidates, baselines=[], num_folds=3, **values)
    plan = Plan.model_validate(content)
    epochs = {one.name: None if one.probe else count_epochs(plan, one) for one in plan.candidates}
    contenders = {
        one.name: Contender(one, WrittenFolds(folder / one.name, qualities[one.name], epochs[one.name]))
        for one in plan.candidates
    }
    return Race(plan, contenders, Ledger(folder, plan))


def list_calls(race: Race) -> dict[str, list[tuple[int, int | None]]]:
    return {name: one.running.calls for name, one in race.contenders.items()}


QUALITIES = {"a": 1.0, "b": 4.0, "c": 3.0, "d": 2.0}


def test_the_worse_half_leaves_in_each_round_and_the_best_goes_on(tmp_path):
    race = make_race(tmp_path, QUALITIES)
    race.run_rounds()
    assert list_calls(race) == {"a": [(0, 2)], "b": [(0, 2), (0, None)], "c": [(0, 2), (0, None)], "d": [(0, 2)]}
    record = read_document(tmp_path / "race.json", Record)
    assert [[place.name for place in places] for places in record.rounds] == [["b", "c", "d", "a"], ["b", "c"]]
    assert record.finalists == ["b"]
    assert record.left["a"] == "in round 1 it was number 4 of 4"
    assert record.left["c"] == "at the end of fold 0 it was number 2 of 2"


@pytest.mark.parametrize(("quality", "winner"), [(0.0, "good"), (1.5, "probe")])
def test_a_probe_takes_the_place_of_no_training_before_the_last_round(tmp_path, quality, winner):
    race = make_race(tmp_path, {"probe": quality, "bad": 0.1, "good": 2.0, "fair": 1.0}, rounds=[0.5])
    race.run_rounds()
    record = race.ledger.record
    assert {place.name for place in record.rounds[0] if place.stays} == {"probe", "good", "fair"}
    assert list_calls(race)["probe"] == [(0, None)]
    assert [place.epochs for place in record.rounds[0] if place.name == "probe"] == [0]
    assert record.finalists == [winner]


def test_a_race_that_was_killed_goes_on_where_it_was(tmp_path):
    straight = make_race(tmp_path / "straight", QUALITIES)
    straight.run_rounds()
    first = make_race(tmp_path / "killed", QUALITIES)
    first._run_round(0, ["a", "b"])
    first.ledger.save()
    again = make_race(tmp_path / "killed", QUALITIES)
    again.run_rounds()
    assert again.ledger.record.rounds == straight.ledger.record.rounds
    assert again.ledger.record.finalists == ["b"]
    assert list_calls(again)["a"] == []
    last = make_race(tmp_path / "killed", QUALITIES)
    last.run_rounds()
    assert not any(list_calls(last).values())


def test_finalists_take_turns_fold_by_fold(tmp_path):
    race = make_race(tmp_path, QUALITIES, finalists=2)
    race.run_rounds()
    race.run_finals()
    assert [(step.name, step.fold) for step in race.ledger.record.steps if step.phase == "finals"] == [
        *(("b", 1), ("c", 1)),
        *(("b", 2), ("c", 2)),
    ]
    assert race.list_folds() == [0, 1, 2]
    assert race.ledger.record.given_up == {}


def test_what_does_not_fit_is_given_up_and_one_fold_of_one_finalist_stays(tmp_path):
    race = make_race(tmp_path, QUALITIES, looked_seconds=599.0, finalists=2)
    race.run_rounds()
    race.run_finals()
    record = race.ledger.record
    assert (record.finalists, race.list_folds()) == (["a"], [0])
    assert record.given_up.keys() == {"candidate b", "candidate c", "candidate d", "folds 1 to 2 of 3"}


def test_folds_that_were_given_up_are_taken_up_again_where_there_is_time_after_all(tmp_path):
    race = make_race(tmp_path, {"only": 3.0})
    race.run_rounds()
    seconds, race.ledger.budget.seconds = race.ledger.budget.seconds, race.ledger.budget.spent
    race._fit()
    assert race.ledger.record.given_up.keys() == {"folds 1 to 2 of 3"}
    race.ledger.budget.seconds = seconds
    race.run_finals()
    assert race.list_folds() == [0, 1, 2]
    assert race.ledger.record.given_up == {}


def test_a_fold_that_outlasts_the_budget_is_stopped(tmp_path, monkeypatch):
    race = make_race(tmp_path, {"only": 3.0})
    race.run_rounds()
    monkeypatch.setattr(race, "_fit", lambda: None)  # as if the estimate had said that all fits
    race.ledger.budget.seconds = race.ledger.budget.spent
    with pytest.raises(OutOfTime):
        race.trainer.train([Training(race.contenders["only"], 1)], "finals", "fold 2")
    race.run_finals()
    assert race.list_folds() == [0]
    assert race.ledger.record.given_up == {"folds from 1 on": "only was stopped in fold 1: the budget was spent"}


def test_a_candidate_that_fails_leaves_and_the_others_go_on(tmp_path):
    race = make_race(tmp_path, QUALITIES)
    race.contenders["b"].running.run_folds = lambda *told, **more: race.contenders["b"].running.failures.update(
        {0: "exit code 1"}
    )
    race.run_rounds()
    assert race.ledger.record.failures["b"] == "b, fold 0: exit code 1"
    assert race.ledger.record.finalists == ["c"]


def fail(contender: Contender, fails: int | None) -> None:
    """Let a fold of a contender fail, or all of them."""
    run, running = contender.running.run_folds, contender.running

    def run_folds(folds, server, on_look, **more):
        if fails in (None, folds[0]):
            running.failures[folds[0]] = "exit code 1"
        else:
            run(folds, server, on_look, **more)

    running.run_folds = run_folds


def test_where_nobody_is_left_the_next_start_tries_all_again(tmp_path):
    race = make_race(tmp_path, QUALITIES)
    for contender in race.contenders.values():
        fail(contender, None)
    with pytest.raises(UserError, match=r"no candidate could be trained: a, fold 0: exit code 1; .*start the same"):
        race.run_rounds()
    again = make_race(tmp_path, QUALITIES)
    again.run_rounds()
    assert (again.ledger.record.finalists, again.ledger.record.failures) == (["b"], {})


@pytest.mark.parametrize("finalists", [1, 2])
def test_the_last_finalist_that_fails_stays_with_the_folds_that_it_has(tmp_path, finalists):
    race = make_race(tmp_path, QUALITIES, finalists=finalists)
    race.run_rounds()
    fail(race.contenders["b"], 2)
    fail(race.contenders["c"], 1)
    race.run_finals()
    assert (race.ledger.record.finalists, race.list_folds()) == (["b"], [0, 1])
    assert race.ledger.record.failures["b"] == "b, fold 2: exit code 1"
    again = make_race(tmp_path, QUALITIES, finalists=finalists)
    again.run_rounds()
    again.run_finals()
    assert not any(list_calls(again).values())


def test_a_race_of_another_plan_is_refused(tmp_path):
    make_race(tmp_path, QUALITIES).ledger.save()
    with pytest.raises(UserError, match="is of a plan with the candidates"):
        make_race(tmp_path, {"a": 1.0})
    with pytest.raises(UserError, match="is of a plan with the rounds"):
        make_race(tmp_path, QUALITIES, rounds=[0.3])


def test_the_time_spent_is_remembered(tmp_path):
    race = make_race(tmp_path, QUALITIES, looked_seconds=20.0)
    race.ledger.save()
    assert 20.0 <= make_race(tmp_path, QUALITIES).ledger.budget.spent < 25.0


def test_on_a_cluster_each_round_is_submitted_at_once_and_so_are_the_finals(tmp_path):
    here = make_race(tmp_path / "here", QUALITIES, finalists=2)
    there, jobs = make_cluster_race(tmp_path / "there", {**QUALITIES, "probe": 0.1}, finalists=2)
    for race in (here, there):
        race.run_rounds()
        race.run_finals()
    assert jobs.submitted == [["a_0", "b_0", "c_0", "d_0"], ["b_0", "c_0"], ["b_1", "c_1", "b_2", "c_2"]]
    assert list_calls(there)["probe"] == [(0, None)]
    assert there.ledger.record.finalists == here.ledger.record.finalists == ["b", "c"]
    assert there.list_folds() == [0, 1, 2]
    assert [step.phase for step in there.ledger.record.steps].count("finals") == 4


def test_on_a_cluster_what_outlasts_the_budget_is_cancelled_and_what_is_finished_stays(tmp_path, monkeypatch):
    race, jobs = make_cluster_race(tmp_path, {"only": 3.0}, hold=["only_1"])
    race.run_rounds()
    monkeypatch.setattr(race, "_fit", lambda: None)
    race.ledger.budget.seconds = race.ledger.budget.spent
    race.run_finals()
    assert jobs.cancelled == ["only_1"]
    assert race.list_folds() == [0, 2]
    assert race.ledger.record.given_up == {"fold 1 of only": "only was stopped in fold 1: the budget was spent"}


@pytest.mark.parametrize(
    ("fail", "finalists", "folds"), [(("b_1", "b_2"), ["c"], [0, 1, 2]), (("b_2", "c_1"), ["b"], [0, 1])]
)
def test_on_a_cluster_finalists_that_fail_leave_and_the_last_one_stays(tmp_path, fail, finalists, folds):
    race, _ = make_cluster_race(tmp_path, QUALITIES, finalists=2, fail=fail)
    race.run_rounds()
    race.run_finals()
    assert (race.ledger.record.finalists, race.list_folds()) == (finalists, folds)
