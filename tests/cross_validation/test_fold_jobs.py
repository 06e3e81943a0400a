"""Two folds at a time, one of which fails, while the tracking server is away: no number is lost."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import monai.bundle
import pytest
import torch
from filelock import FileLock

from medmamba_monai.core.errors import find_user_error
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_jobs import _share_machine, run_jobs
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.cross_validation.slots import Slots
from medmamba_monai.tracking import send_pending
from medmamba_monai.tracking.journal_file import read_lines
from tests.helpers.small_bundle import EPOCHS, SmallBundle, free_port, mlflow_service, run_command
from tests.helpers.tracked_runs import TrackedRuns

CPU = torch.device("cpu")
FAILS_IN_FOLD_0 = "$lambda output, target: torch.nn.functional.cross_entropy(output, target) / (0 if @fold == 0 else 1)"


@pytest.fixture(scope="module")
def troubled(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Its folder, exit code, what it printed and the port that nobody listens on."""
    folder, port = tmp_path_factory.mktemp("troubled"), free_port()
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"train#trainer#loss_function": FAILS_IN_FOLD_0}))
    options = {"config_files": ["configs/train.json", str(overlay)], "tracking_uri": f"http://127.0.0.1:{port}"}
    command = make_command(small_bundle, folder, **options)
    code, printed = run_command(command, folder)
    return SimpleNamespace(folder=folder, code=code, printed=printed, port=port)


def make_command(bundle: SmallBundle, folder: Path, **options: Any) -> list[str]:
    """A cross-validation of two folds at a time, with a review without images."""
    return bundle.command("cross_validation", ["cross_validation"], folder, jobs=2, report_images=False, **options)


@pytest.mark.long
def test_folds_are_forked_from_a_process_that_imports_everything_itself(small_bundle, tmp_path):
    code, printed = run_command(make_command(small_bundle, tmp_path, tracking_uri=""), tmp_path, warm_folds=False)
    assert code == 0, printed
    assert [statuses(tmp_path, f"fold_{fold}") for fold in (0, 1)] == [["RUNNING", "FINISHED"]] * 2


def statuses(folder: Path, name: str) -> list[str]:
    lines = read_lines(folder / "output" / name / "tracking.jsonl")
    return [line["status"] for line in lines if line["op"] == "status"]


def test_a_failed_fold_does_not_stop_the_other(troubled):
    assert statuses(troubled.folder, "fold_0") == ["RUNNING", "FAILED"]
    assert statuses(troubled.folder, "fold_1") == ["RUNNING", "FINISHED"]
    assert statuses(troubled.folder, "") == ["RUNNING", "FAILED"]


def test_the_error_names_fold_batch_and_log_without_a_traceback(troubled):
    assert troubled.code == 1
    assert "the loss is inf in epoch 1, batch 1 (samples train-" in troubled.printed
    assert "folds that did not finish: 0 (exit code 1)" in troubled.printed
    end = next(line for line in troubled.printed.splitlines() if line.startswith("Fold 0 ended with: "))
    assert "the loss is inf in epoch 1" in end
    assert end.endswith("fold_0/log.txt)")
    assert "Traceback" not in troubled.printed


def test_the_summary_says_that_a_fold_is_missing(troubled):
    summary = (troubled.folder / "output" / "summary.md").read_text()
    assert "exit code 1" in summary
    assert json.loads((troubled.folder / "output" / "summary.json").read_text())["folds_finished"] == 1


def test_training_goes_on_without_the_server_and_says_how_to_send(troubled):
    assert (troubled.folder / "output" / "fold_1" / "model.safetensors").is_file()
    assert f"medmamba-monai send {troubled.folder}/output" in troubled.printed


@pytest.mark.slow
def test_everything_is_sent_once_the_server_is_there(troubled, small_bundle, tmp_path):
    store = Path(shutil.copy(small_bundle.store, tmp_path / "server.db"))
    with mlflow_service("server", store, tmp_path, troubled.port) as address:
        assert send_pending(troubled.folder / "output") == 0
        runs = TrackedRuns(address)
        assert runs.statuses() == {"small": "FAILED", "fold 0": "FAILED", "fold 1": "FINISHED"}
        finished = next(run for run in runs.children if run.info.run_name == "fold 1")
        assert len(runs.history(finished, "train/loss")) == EPOCHS
        assert {"predictions.csv", "weights/model.safetensors"} <= runs.artifacts(finished)
        assert finished.data.tags["mlflow.parentRunId"] == runs.parents[0].info.run_id


@pytest.mark.parametrize("forked", [True, pytest.param(False, marks=pytest.mark.long)])
def test_after_an_error_that_the_user_must_fix_no_other_fold_starts(tmp_path, own_process, monkeypatch, forked):
    monkeypatch.setattr(FoldServer, "can_run", lambda: forked)
    ended = []
    jobs = [FoldJob(fold, tmp_path / str(fold), {"overrides": {"output_dir": str(tmp_path / "0")}}) for fold in (0, 1)]
    with FileLock(tmp_path / "0" / ".lock"):  # in use by another process
        run_jobs(jobs, Slots(1, 2, CPU), lambda job, code: ended.append((job.fold, code)))
    assert ended == [(0, 2)]


@pytest.mark.slow
def test_a_fold_whose_process_is_killed_is_recorded_as_killed(small_bundle, tmp_path, own_process):
    (tmp_path / "overlay.json").write_text(
        json.dumps({"train#trainer#loss_function": "$lambda *_: __import__('signal').raise_signal(9)"})
    )
    options = small_bundle.options(
        tmp_path, folds=1, tracking_uri="", config_files=["configs/train.json", str(tmp_path / "overlay.json")]
    )
    with pytest.raises(RuntimeError) as caught:
        monai.bundle.run("cross_validation", config_file=small_bundle.config("cross_validation"), **options)
    assert "folds that did not finish: 1 (killed by signal 9)" in str(find_user_error(caught.value))
    assert statuses(tmp_path, "fold_1") == ["RUNNING", "KILLED"]


def test_folds_that_run_at_once_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert _share_machine(1, Slots(3, 5, CPU)) == {"OMP_NUM_THREADS": "2"}
    assert _share_machine(0, Slots(1, 5, CPU)) == {}
    assert _share_machine(0, Slots("auto", 5, CPU)) == {}


def test_folds_that_run_at_once_have_a_gpu_each(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    slots = Slots(3, 5, torch.device("cuda"), gpus=2)
    assert [_share_machine(slot, slots)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["4", "7", "4"]
    assert _share_machine(1, Slots(2, 5, torch.device("cuda"), gpus=1)) == {}
    assert _share_machine(1, Slots(2, 5, torch.device("cuda:1"), gpus=2)) == {}
