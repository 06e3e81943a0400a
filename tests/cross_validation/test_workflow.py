"""The whole cross-validation as a user starts it: fold processes, a real SQLite store, signals, other settings."""

from __future__ import annotations

import json
import re
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

from medmamba_monai.core.errors import find_user_error
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import describe_shortcuts, read_fold_list
from medmamba_monai.evaluation import METRICS
from tests.helpers.small_bundle import (
    EPOCHS,
    ROOT,
    SmallBundle,
    copy_cross_validation,
    end_group,
    run_command,
    start,
    wait_until,
)
from tests.helpers.tracked_runs import TrackedRuns

pytestmark = pytest.mark.slow
OVERRIDES = {"train#trainer#amp": False}
FIGURES = (
    *(f"{name}_ensemble" for name in ("confusion_matrix", "roc", "precision_recall", "reliability", "abstention")),
    *("class_balance", "folds", "learning_curves", "least_certain", "mistake_maps", "mistakes"),
)
ALL_FINISHED = {"small": "FINISHED", "fold 0": "FINISHED", "fold 1": "FINISHED"}


@pytest.fixture(scope="module")
def store(cross_validated: Path) -> TrackedRuns:
    return TrackedRuns(cross_validated / "mlruns.db")


def run_in_process(bundle: SmallBundle, folder: Path, **changes: Any) -> None:
    options = bundle.options(folder, **changes)
    monai.bundle.run("cross_validation", config_file=bundle.config("cross_validation"), **options)


def weights(folder: Path, fold: int) -> dict[str, torch.Tensor]:
    return torch.load(folder / "output" / f"fold_{fold}" / "model.pt", weights_only=True)


def result(folder: Path, fold: int) -> Path:
    return folder / "output" / f"fold_{fold}" / "result.json"


def test_one_parent_holds_a_child_for_each_fold(store):
    assert [run.info.run_name for run in store.parents] == ["small"]
    assert sorted(run.info.run_name for run in store.children) == ["fold 0", "fold 1"]
    parent_id = store.parents[0].info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in store.children} == {parent_id}


def test_every_run_names_the_dataset_and_its_folds(store):
    for run in (*store.parents, *store.children):
        (found,) = run.inputs.dataset_inputs
        assert found.dataset.name == run.data.tags["dataset"] == "phantom"
        assert run.data.tags["fold_digest"].startswith(found.dataset.digest)
        assert len(found.dataset.digest) == 12


def test_all_runs_are_finished(store):
    assert store.statuses() == ALL_FINISHED


def test_parameters_and_tags_say_what_ran_on_what(store, small_bundle):
    digest = json.loads(small_bundle.data_list.read_text())["digest"]
    folds = read_fold_list(small_bundle.data_list, small_bundle.dataset_dir, verify=False)
    for run in (*store.parents, *store.children):
        assert {key: run.data.params[key] for key in ("epochs", "image_size", "depths", "learning_rate")} == {
            "epochs": str(EPOCHS),
            "image_size": "32",
            "depths": "[1, 1]",
            "learning_rate": "0.01",
        }
        assert run.data.tags["fold_digest"] == digest
        assert run.data.tags["shortcuts"] == describe_shortcuts(folds)
        assert {"version.torch", "version.monai", "device", "python", "dataset", "protocol"} <= run.data.tags.keys()


@pytest.mark.parametrize(
    "key",
    [
        "train/loss",
        "validation/loss",
        "validation/auc",
        "validation/accuracy",
        "learning_rate",
        "epoch_seconds",
        "images_per_second",
    ],
)
def test_every_epoch_is_a_point_of_the_curve(store, key):
    for run in store.children:
        assert len(store.history(run, key)) == EPOCHS


def test_a_child_ends_with_the_figures_of_its_predictions(store, cross_validated):
    for run in store.children:
        fold = int(run.data.params["fold"])
        metrics = json.loads(result(cross_validated, fold).read_text())["metrics"]
        for part, prefix in (("validation", "validation_best"), ("test", "test")):
            for name in METRICS:
                assert run.data.metrics[f"{prefix}/{name}"] == metrics[part][name]


def test_the_best_epoch_is_the_one_with_the_highest_validation_auc(store):
    for run in store.children:
        history = store.history(run, "validation/auc")
        assert history[int(run.data.metrics["best/epoch"]) - 1] == max(history)
        assert run.data.metrics["validation_best/auc"] == pytest.approx(max(history), abs=1e-12)


def test_a_child_keeps_weights_predictions_figures_and_config(store):
    for run in store.children:
        assert store.artifacts(run) == {
            "weights/model.safetensors",
            "predictions.csv",
            "metrics.json",
            "executed_config.json",
            *(
                f"figures/{figure}_{part}.{kind}"
                for figure in ("confusion_matrix", "roc", "precision_recall")
                for part in ("validation", "test")
                for kind in ("png", "svg")
            ),
        }


def test_the_parent_keeps_tables_figures_and_a_note(store):
    parent = store.parents[0]
    assert store.artifacts(parent) == {
        "summary.md",
        "summary_classes.csv",
        "summary_test.csv",
        "summary_validation.csv",
        "ensemble_predictions.csv",
        "report.html",
        "review.csv",
        "review.json",
        *(f"figures/{figure}.{kind}" for figure in FIGURES for kind in ("png", "svg")),
    }
    note = parent.data.tags["mlflow.note.content"]
    assert f"{100 * parent.data.metrics['ensemble/accuracy']:.2f}" in note
    assert "python -m monai.bundle run cross_validation" in note


def test_no_folder_of_this_machine_reaches_the_store(store, small_bundle, cross_validated):
    private = [str(path) for path in (small_bundle.root.parent, cross_validated, ROOT)]
    for run in (*store.parents, *store.children):
        texts = [*run.data.params.values(), *run.data.tags.values()]
        for artifact in store.artifacts(run):
            path = Path(store.client.download_artifacts(run.info.run_id, artifact))
            texts.append(path.read_bytes().decode("latin-1"))
        assert [name for name in private if any(name in text for text in texts)] == []


def test_a_second_start_skips_the_finished_folds(cross_validated, small_bundle, own_process, capfd, tmp_path):
    folder = copy_cross_validation(cross_validated, tmp_path / "copy").parent
    run_in_process(small_bundle, folder)
    printed = capfd.readouterr().out
    assert "fold 0 is finished" in printed
    assert "fold 1 is finished" in printed
    assert "epoch 1/" not in printed
    before = weights(cross_validated, 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(folder, 0).items())
    assert TrackedRuns(folder / "mlruns.db").statuses() == ALL_FINISHED


def test_other_settings_under_the_same_name_are_refused(cross_validated, small_bundle, own_process):
    with pytest.raises(RuntimeError) as caught:
        run_in_process(small_bundle, cross_validated, learning_rate=0.02)
    message = str(find_user_error(caught.value))
    assert "learning_rate 0.01, but 0.02 is asked for" in message
    assert "--run_name" in message


def test_a_refused_start_changes_nothing(cross_validated, small_bundle, own_process):
    output = cross_validated / "output"
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError) as caught:
        run_in_process(small_bundle, cross_validated, experiment_name="another", report_images=False)
    assert "experiment_name 'Phantom', but 'another' is asked for" in str(find_user_error(caught.value))
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def interrupted(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Stopped by SIGTERM in fold 0, killed in fold 1, then run to its end: what was to be seen after each."""
    folder = tmp_path_factory.mktemp("interrupted")
    shutil.copy(small_bundle.store, folder / "mlruns.db")
    options = {"overrides": OVERRIDES, "report_images": False}
    command = small_bundle.command("cross_validation", ["cross_validation"], folder, **options)
    seen: dict[str, Any] = {"folder": folder}
    for fold, number in ((0, signal.SIGTERM), (1, signal.SIGKILL)):
        process = start(command, folder)
        wait_until((checkpoints(folder, fold) / "checkpoint_epoch=0001.pt").is_file, process)
        (process.send_signal if number == signal.SIGTERM else partial(end_group, process))(number)
        seen[number.name] = process.wait(), result(folder, fold).exists(), TrackedRuns(folder / "mlruns.db").statuses()
    seen["end"] = run_command(command, folder)
    return seen


def checkpoints(folder: Path, fold: int) -> Path:
    return folder / "output" / f"fold_{fold}" / "checkpoints"


def test_a_termination_ends_all_runs_as_killed(interrupted):
    code, finished, statuses = interrupted["SIGTERM"]
    assert (code, finished) == (130, False)
    assert statuses == {"small": "KILLED", "fold 0": "KILLED"}


def test_a_kill_in_mid_fold_leaves_the_other_fold_finished(interrupted):
    code, finished, statuses = interrupted["SIGKILL"]
    assert (code, finished) == (-signal.SIGKILL, False)
    assert statuses["fold 0"] == "FINISHED"


def test_started_again_it_goes_on_where_it_was(interrupted):
    code, printed = interrupted["end"]
    assert code == 0, printed
    assert "fold 0 is finished" in printed
    assert re.search(r"going on after epoch \d", printed)
    assert TrackedRuns(interrupted["folder"] / "mlruns.db").statuses() == ALL_FINISHED


@pytest.mark.parametrize("fold", [0, 1])
def test_interruptions_change_no_bit_of_the_weights(interrupted, cross_validated, fold):
    uninterrupted, resumed = weights(cross_validated, fold), weights(interrupted["folder"], fold)
    assert uninterrupted.keys() == resumed.keys()
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in resumed)


def test_interruptions_leave_neither_gaps_nor_doubles_in_the_curves(interrupted, store):
    resumed = TrackedRuns(interrupted["folder"] / "mlruns.db")
    for first, second in zip(store.children, resumed.children, strict=True):
        assert resumed.history(second, "train/loss") == store.history(first, "train/loss")


def test_overrides_reach_the_folds_and_the_note(interrupted):
    config = json.loads((interrupted["folder"] / "output" / "fold_0" / "executed_config.json").read_text())
    assert config["train"]["trainer"]["amp"] is False
    note = TrackedRuns(interrupted["folder"] / "mlruns.db").parents[0].data.tags["mlflow.note.content"]
    assert "--overrides" in note


@pytest.mark.long
def test_a_single_fold_can_be_trained_anew(interrupted, small_bundle, own_process):
    folder = interrupted["folder"]
    before = weights(folder, 1)
    run_in_process(small_bundle, folder, folds=1, resume=False, overrides=OVERRIDES, report_images=False)
    runs = TrackedRuns(folder / "mlruns.db")
    assert len(runs.parents) == 1
    assert sorted(child.info.run_name for child in runs.children) == ["fold 0", "fold 1", "fold 1"]
    assert runs.history(runs.children[-1], "train/loss") == runs.history(runs.children[-2], "train/loss")
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(folder, 1).items())


@pytest.mark.long
def test_all_folds_trained_anew_are_another_cross_validation(interrupted, small_bundle, own_process):
    folder = interrupted["folder"]
    robustness = RunFolder(folder / "output").robustness_report
    robustness.write_text("of the weights before")
    run_in_process(small_bundle, folder, resume=False, epochs=1, jobs=2, report_images=False)
    assert not robustness.exists()
    first, second = TrackedRuns(folder / "mlruns.db").parents
    assert (first.data.params["epochs"], second.data.params["epochs"]) == (str(EPOCHS), "1")
    assert second.data.metrics["folds_finished"] == 2
    assert [path.name for path in checkpoints(folder, 0).iterdir()] == ["checkpoint_epoch=0001.pt"]
