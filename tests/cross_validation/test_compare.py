"""Cross-validations of a real SQLite store, compared; the store also holds the comparison afterwards."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.cross_validation import compare_runs
from medmamba_monai.cross_validation.compare import _choose_titles, _join_names
from medmamba_monai.cross_validation.finished_runs import read_finished_run
from medmamba_monai.evaluation import write_predictions
from medmamba_monai.tracking import TrackedRun
from medmamba_monai.tracking.mlflow_store import connect
from medmamba_monai.tracking.open_store import open_store
from tests.helpers.predicted_folds import NAMES, predicted_folds


def track(folder: Path, uri: str, name: str, skill: float, seed: int, digest: str = "a" * 64, folds: int = 3) -> str:
    """Log what the comparison reads of a cross-validation; returns the id of its parent run."""
    parent = TrackedRun(folder / name, uri, "Chest", name)
    parent.start()
    parent.journal.log_params({"num_folds": 3})
    parent.journal.set_tags({"dataset": "chest", "fold_digest": digest})
    parent.journal.log_summary({"shortcuts/auc": 0.75, "shortcuts/auc_low": 0.7, "shortcuts/auc_high": 0.8})
    review = {"task": "binary", "combination": "ensemble", "class_names": NAMES["binary"]}
    write_json(folder / name / "review.json", review)
    parent.journal.log_artifact(folder / name / "review.json")
    parent.send()
    for fold, predictions in list(predicted_folds("binary", skill=skill, seed=seed).items())[:folds]:
        child = TrackedRun(folder / name / f"fold_{fold}", uri, "Chest", f"fold {fold}", parent=folder / name)
        child.start()
        child.journal.set_tags({"fold": fold})
        write_predictions(child.directory / "predictions.csv", predictions)
        child.journal.log_artifact(child.directory / "predictions.csv")
        child.finish("FINISHED")
    parent.finish("FINISHED")
    assert parent.run_id is not None
    return parent.run_id


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, str]]:
    """A folder, its store, and the ids of its cross-validations by name."""
    folder = tmp_path_factory.mktemp("runs")
    uri = f"sqlite:///{folder}/mlruns.db"
    connect(uri)
    runs = {
        "good seed0": track(folder, uri, "good seed0", 2.0, 0),
        "good seed1": track(folder, uri, "good seed1", 2.0, 10),
        "bad seed0": track(folder, uri, "bad seed0", 0.0, 20),
        "bad seed1": track(folder, uri, "bad seed1", 0.0, 30),
        "other folds": track(folder, uri, "other folds", 2.0, 0, digest="b" * 64),
        "unfinished": track(folder, uri, "unfinished", 2.0, 0, folds=2),
    }
    return folder, uri, runs


def test_a_run_is_found_by_name_and_by_id(made):
    client = open_store(made[1])
    by_name, by_id = (read_finished_run(client, key) for key in ("good seed0", made[2]["good seed0"]))
    assert by_name.run_id == by_id.run_id == made[2]["good seed0"]
    expected = predicted_folds("binary", skill=2.0)[1]
    assert by_name.result.folds[1].probabilities.tolist() == expected.probabilities.tolist()


def test_the_comparison_is_a_run_of_the_same_experiment(made, tmp_path):
    text = compare_runs(["good seed0,good seed1", "bad seed0,bad seed1"], made[1], tmp_path, resamples=300)
    run_id = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    run = MlflowClient(made[1]).get_run(run_id)
    assert run.info.run_name == "comparison: good vs bad"
    assert run.info.status == "FINISHED"
    assert run.data.tags["compared_runs"].split()[0] == made[2]["good seed0"]
    assert "good is better than bad" in run.data.tags["result"]
    assert "good is better than bad" in text.replace("\n", " ")
    assert re.search(r"AUC of facts alone +0\.7500 +0\.7000 to 0\.8000", text)
    assert run.data.metrics["facts_alone/auc"] == 0.75
    assert run.data.metrics["model_0/auc"] > run.data.metrics["model_1/auc"]
    artifacts = {file.path for file in MlflowClient(made[1]).list_artifacts(run_id)}
    assert artifacts == {"report.html", "comparison.md", "comparison.json", "figures"}


def test_the_command_prints_the_comparison(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", "good seed0", "bad seed0", "--tracking-uri", made[1], "--resamples", "300"]
    assert main([*arguments, "--titles", "A", "B"]) == 0
    assert "A is better than B" in capsys.readouterr().out.replace("\n", " ")
    html = (tmp_path / "output" / "comparisons" / "A_vs_B" / "report.html").read_text()
    again = "medmamba-monai compare 'good seed0' 'bad seed0' --titles A B --resamples 300 --seed 0"
    assert again.replace("'", "&#39;") in html


def test_a_comparison_names_no_folder_of_this_machine(made, tmp_path):
    folder, uri, _ = made
    compare_runs(["good seed1", "bad seed1"], uri, tmp_path, resamples=300)
    files = [tmp_path / name for name in ("report.html", "comparison.md", "comparison.json")]
    assert not any(str(place) in path.read_text() for path in files for place in (folder, tmp_path))


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["good seed0", "good seed1"], "good"),
        (["good seed10", "good seed11"], "good"),
        (["resnet18_run1", "resnet18_run2"], "resnet18"),
        (["resnet18", "resnet18b"], "resnet18"),
        (["seed0", "seed1"], "seed0"),
        (["good seed0"], "good seed0"),
    ],
)
def test_a_model_is_called_what_its_runs_have_in_common(made, names, title):
    run = read_finished_run(open_store(made[1]), "good seed0")
    assert _join_names([replace(run, name=name) for name in names]) == title


def test_two_models_that_would_have_one_name_need_titles(made):
    run = read_finished_run(open_store(made[1]), "good seed0")
    runs = [[replace(run, name=f"good seed{seed}") for seed in seeds] for seeds in ((0, 1), (2, 3))]
    with pytest.raises(UserError, match="models would be called good, good; pass --titles"):
        _choose_titles([], runs)
    with pytest.raises(UserError, match="--titles: 1 titles for 2 models"):
        _choose_titles(["A"], runs)


def test_the_folder_of_a_cross_validation_is_not_overwritten(made, tmp_path):
    shutil.copytree(made[0] / "good seed0", tmp_path / "run")
    with pytest.raises(UserError, match="holds a run that is no comparison; choose another folder"):
        compare_runs(["good seed0", "bad seed0"], made[1], tmp_path / "run", resamples=300)
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_comparison_is_replaced_by_the_next(made, tmp_path):
    for seed in (0, 1):
        compare_runs(["good seed0", "bad seed0"], made[1], tmp_path, resamples=300, seed=seed)
    assert json.loads((tmp_path / "comparison.json").read_text())["bootstrap"]["seed"] == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["good seed0", "other folds"], "differ in their fold_digest: aaaaaaaaaaaa... and bbbbbbbbbbbb..."),
        (["good seed0", "unfinished"], r"folds \[2\] have not finished"),
        (["good seed0", "good seed0"], "named twice"),
        (["good seed0"], "two or more models"),
        (["good seed0", "missing"], "no cross-validation has the name or id 'missing' in this store; it holds: bad"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(made, tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        compare_runs(names, made[1], tmp_path, resamples=300)
    assert not list(tmp_path.iterdir())


def test_a_name_that_several_runs_have_needs_an_id(made, tmp_path):
    folder, _, _ = made
    shutil.copytree(folder, tmp_path / "copy")
    uri = f"sqlite:///{tmp_path}/copy/mlruns.db"
    track(tmp_path / "again", uri, "bad seed0", 0.5, 40)
    with pytest.raises(UserError, match="2 cross-validations are called bad seed0: name one by its id"):
        read_finished_run(open_store(uri), "bad seed0")


def test_a_run_without_a_review_says_how_to_get_one(made, tmp_path):
    client = open_store(made[1])
    parent = client.get_run(made[2]["bad seed1"])
    (Path(parent.info.artifact_uri.removeprefix("file://")) / "review.json").rename(tmp_path / "review.json")
    with pytest.raises(UserError, match=r"has no review\.json .*medmamba-monai review FOLDER"):
        read_finished_run(client, "bad seed1")
    shutil.move(tmp_path / "review.json", Path(parent.info.artifact_uri.removeprefix("file://")))


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(UserError, match="there is no"):
        open_store(f"sqlite:///{tmp_path}/none.db")
    assert not list(tmp_path.iterdir())
