"""A whole search of two candidates in two folds, once for all tests here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from medmamba_monai.auto.plan import Plan, read_plan
from medmamba_monai.auto.run import _check_folds, run_plan
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.data import read_fold_list
from medmamba_monai.package import Package
from tests.auto.test_plan import make_candidate, make_content
from tests.helpers.small_bundle import SMALL, SmallBundle
from tests.helpers.warm_commands import launch_fold_server

NETWORK = {"network_name": "medmamba", "depths": SMALL["depths"], "channels": SMALL["channels"]}


def write_plan(output: Path, bundle: SmallBundle) -> None:
    root = output / "bundles" / "phantom"
    shutil.copytree(bundle.root, root)
    shutil.copy(bundle.data_list, root / "folds.json")
    shutil.copy(bundle.store, output / "mlruns.db")  # its tables take seconds to make
    candidates = [
        make_candidate("quick", 0.1, **NETWORK, learning_rate=0.01),
        make_candidate("idle", 0.1, **NETWORK, learning_rate=0.0),
    ]
    values = {"image_size": 32, "batch_size": 8, "epochs": 2, "recipe": "paper", "num_folds": 2, "rounds": [0.5]}
    values["budget_seconds"] = 1e5  # however slow the machine of the tests is
    content = make_content(candidates=candidates, baselines=[make_candidate("paper", 1e6, **NETWORK)], **values)
    Plan.model_validate({**content, "dataset_dir": str(bundle.dataset_dir)}).write(output)


@pytest.fixture(scope="module")
def search(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The folder of the search, and what it returned."""
    import torch

    output, threads = tmp_path_factory.mktemp("search"), torch.get_num_threads()
    write_plan(output, small_bundle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FoldServer, "_launch", launch_fold_server)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        torch.set_num_threads(1)
        yield SimpleNamespace(output=output, result=run_plan(output))
        torch.set_num_threads(threads)


def read(search: SimpleNamespace, name: str) -> dict:
    return json.loads((search.output / name).read_text())


def test_the_better_candidate_is_trained_on_all_folds_and_the_other_on_a_part_of_one(search):
    assert search.result.winner == read(search, "choice.json")["winner"]
    loser = ({"quick", "idle"} - {search.result.winner}).pop()
    runs = search.output / "bundles" / "phantom" / "output"
    assert sorted(path.parent.name for path in (runs / search.result.winner).glob("fold_*/result.json")) == [
        "fold_0",
        "fold_1",
    ]
    assert json.loads((runs / loser / "fold_0" / "training.json").read_text())["paused_of"] == 2
    assert not list((runs / loser).glob("fold_*/predictions.csv"))


def test_the_choice_was_written_before_the_answer(search):
    choice, winner = search.output / "choice.json", search.output / "bundles/phantom/output" / search.result.winner
    assert choice.stat().st_mtime_ns < (winner / "ensemble_predictions.csv").stat().st_mtime_ns
    assert read(search, "choice.json")["images"] == 40
    assert len(search.result.result.combined_predictions) == 20


def test_what_there_was_no_time_for_is_said_with_the_command(search):
    assert read(search, "race.json")["given_up"]["baseline paper"].startswith("it needs about ")
    page = search.result.report.read_text()
    assert "Given up for lack of time: baseline paper" in page
    assert "--run_name paper" in page


def test_the_package_and_the_report_are_there(search):
    assert len(Package.open(search.result.package).manifest.members) == 2
    page = search.result.report.read_text()
    assert f"bundles/phantom/output/{search.result.winner}/report.html" in page
    assert str(search.output) not in page
    assert "How much choosing cost" in page


def test_one_run_holds_the_candidates_and_these_their_folds(search):
    client = MlflowClient(f"sqlite:///{search.output}/mlruns.db")
    (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    parents = {run.info.run_name: run.data.tags.get("mlflow.parentRunId") for run in runs.values()}
    (whole,) = [run for run in runs.values() if run.info.run_name == "auto"]
    assert {name for name, parent in parents.items() if parent == whole.info.run_id} == {"quick", "idle"}
    stopped = {run.info.run_name: run.data.tags.get("stopped") for run in runs.values()}
    loser = ({"quick", "idle"} - {search.result.winner}).pop()
    assert stopped[loser] == "in round 1 it was number 2 of 2"
    assert whole.data.tags["winner"] == search.result.winner
    held = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") != whole.info.run_id]
    statuses = {run.info.status for run in runs.values() if run not in held}
    assert statuses | {whole.info.status} == {"FINISHED"}
    assert sorted(run.info.status for run in held if run is not whole) == ["FINISHED", "FINISHED", "KILLED"]


def test_started_again_it_trains_nothing_and_finds_the_same(search):
    steps = read(search, "race.json")["steps"]
    again = run_plan(search.output)
    assert again.winner == search.result.winner
    assert again.result.metrics == search.result.result.metrics
    assert read(search, "race.json")["steps"] == steps


def test_folds_that_keep_nothing_out_of_every_choice_are_refused(search, small_bundle):
    plan = read_plan(search.output)
    folds = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir)
    _check_folds(folds, plan)
    with pytest.raises(UserError, match="keep no test images out of every choice: make them again"):
        _check_folds(folds.model_copy(update={"protocol": "cross-validation"}), plan)
    with pytest.raises(UserError, match="has 2 folds, and the plan says num_folds 5"):
        _check_folds(folds, plan.model_copy(update={"num_folds": 5}))
