from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from medmamba_monai.cross_validation.fold_process import main
from medmamba_monai.tracking import TrackedRun
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_file import read_lines
from tests.helpers.small_bundle import ROOT, SmallBundle, start, wait_until

FORK_A_FOLD = """
import os, sys
if child := os.fork():
    os.waitpid(child, 0)
else:
    from medmamba_monai.cross_validation.fold_process import main
    os._exit(main(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def own_signals(own_process: None) -> Iterator[None]:
    """Undo what the process of a fold does to signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def write_job(bundle: SmallBundle, folder: Path, told: dict[str, Any] | None = None, **changes: Any) -> Path:
    directory = folder / "fold_0"
    directory.mkdir(exist_ok=True)
    overrides = {
        **bundle.options(folder, epochs=1, tracking_uri="", output_dir=str(directory)),
        "experiment_name": "phantom",
        "fold": 0,
        "ckpt_dir": str(directory),
        "parent_dir": str(folder),
        "finish_run": False,
        **changes,
    }
    job = {
        "fold": 0,
        "bundle_root": str(bundle.root),
        "config_files": [bundle.config("train")],
        "evaluate_files": [bundle.config("evaluate")],
        "overrides": overrides,
        **(told or {}),
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def run_fold(bundle: SmallBundle, folder: Path, **changes: Any) -> int:
    return main(str(write_job(bundle, folder, **changes)))


def statuses(folder: Path) -> list[str]:
    return [line["status"] for line in read_lines(folder / "fold_0" / "tracking.jsonl") if line["op"] == "status"]


def test_a_fold_leaves_weights_predictions_and_a_result(tmp_path, small_bundle):
    assert run_fold(small_bundle, tmp_path) == 0
    result = json.loads((tmp_path / "fold_0" / "result.json").read_text())
    assert (result["fold"], result["epochs"], result["best_epoch"]) == (0, 1, 1)
    assert result["metrics"].keys() == {"validation", "test"}
    assert statuses(tmp_path) == ["RUNNING", "FINISHED"]
    assert not [
        name for name in ("model.pt", "model.safetensors", "log.txt") if not (tmp_path / "fold_0" / name).exists()
    ]


def test_a_fold_that_pauses_is_evaluated_when_it_has_gone_on_to_its_end(tmp_path, small_bundle, capfd):
    assert run_fold(small_bundle, tmp_path, epochs=2, pause_after=1) == 0
    assert "fold 0: paused after epoch 1 of 2" in capfd.readouterr().out
    fold = tmp_path / "fold_0"
    training = json.loads((fold / "training.json").read_text())
    assert (training["epochs"], training["best_epoch"], training["paused_of"]) == (1, 1, 2)
    assert not [name for name in ("result.json", "predictions.csv", "metrics.json") if (fold / name).exists()]
    assert Journal(fold).get_tag("failure") == "paused after epoch 1 of 2"
    assert run_fold(small_bundle, tmp_path, epochs=2) == 0
    result = json.loads((fold / "result.json").read_text())
    assert (result["epochs"], "paused_of" in result) == (2, False)
    assert result["seconds"] > training["seconds"]
    assert statuses(tmp_path) == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
    assert Journal(fold).get_tag("failure") == "none"


def test_what_the_user_can_fix_ends_with_2_and_one_line(tmp_path, small_bundle, capfd):
    assert run_fold(small_bundle, tmp_path, scan_backend="nonsense") == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: scan backend 'nonsense' does not exist")
    assert "Traceback" not in errors
    assert statuses(tmp_path) == ["RUNNING", "FAILED"]


def test_a_fold_that_fails_before_it_is_trained_anew_leaves_the_old_run_finished(tmp_path, small_bundle):
    TrackedRun(tmp_path / "fold_0", "", "phantom", "fold 0").finish("FINISHED")
    job = write_job(small_bundle, tmp_path, {"runs_before": 1}, scan_backend="nonsense", resume=False)
    assert main(str(job)) == 2
    assert statuses(tmp_path) == ["RUNNING", "FINISHED", "RUNNING", "FAILED"]
    journal = Journal(tmp_path / "fold_0")
    assert journal.count_runs() == 2
    assert journal.get_tag("failure").startswith("scan backend 'nonsense' does not exist")


def test_a_fold_whose_parent_ended_during_its_imports_does_nothing(tmp_path, small_bundle):
    job = write_job(small_bundle, tmp_path, {"parent_pid": os.getppid() + 1})
    assert main(str(job)) == 130
    assert not list((tmp_path / "fold_0").iterdir())


def test_a_fold_that_cannot_write_is_one_line(tmp_path, small_bundle, capfd):
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "log.txt").mkdir()
    assert main(str(write_job(small_bundle, tmp_path))) == 2
    assert capfd.readouterr().err.startswith(f"error: cannot write in {tmp_path / 'fold_0'}: ")


def test_a_training_that_diverges_ends_with_1_and_one_line(tmp_path, small_bundle, capfd):
    assert run_fold(small_bundle, tmp_path, learning_rate=1e30) == 1
    printed = "".join(capfd.readouterr())
    assert "lower --learning_rate" in printed.lower()
    assert "lower --learning_rate" in (tmp_path / "fold_0" / "log.txt").read_text().lower()
    assert "Traceback" not in printed
    assert statuses(tmp_path) == ["RUNNING", "FAILED"]


def test_a_bug_ends_with_1_and_its_traceback(tmp_path, small_bundle, capfd):
    assert run_fold(small_bundle, tmp_path, **{"train#trainer#max_epochs": "many"}) == 1
    assert "Traceback" in capfd.readouterr().err
    log = (tmp_path / "fold_0" / "log.txt").read_text()
    assert "Traceback" in log
    assert log.splitlines()[-1].startswith("It began with ")
    assert "_mode_=debug" not in log.splitlines()[-1]
    assert statuses(tmp_path)[-1] == "FAILED"


@pytest.mark.slow
def test_a_fold_ends_itself_when_its_parent_is_gone(tmp_path, small_bundle):
    job = write_job(small_bundle, tmp_path, epochs=100_000)
    parent = start([sys.executable, "-c", FORK_A_FOLD, str(job)], tmp_path, PYTHONPATH=str(ROOT))
    wait_until((tmp_path / "fold_0" / "checkpoints" / "checkpoint_epoch=0001.pt").is_file, parent)
    parent.kill()
    parent.wait()
    with FileLock(tmp_path / "fold_0" / ".lock", timeout=60):
        assert statuses(tmp_path) == ["RUNNING", "KILLED"]


@pytest.mark.long
def test_a_device_may_be_left_to_the_bundle(tmp_path, small_bundle):
    assert run_fold(small_bundle, tmp_path, device="auto") == 0


@pytest.mark.long
def test_tensorboard_is_a_switch(tmp_path, small_bundle):
    assert run_fold(small_bundle, tmp_path, tensorboard=True) == 0
    assert list((tmp_path / "fold_0" / "tensorboard").glob("events.*"))


def test_the_logged_config_of_a_fold_names_no_folder(tmp_path, small_bundle):
    run_fold(small_bundle, tmp_path)
    text = (tmp_path / "fold_0" / "executed_config.json").read_text()
    assert str(tmp_path) not in text
    assert str(small_bundle.root.parent) not in text
    assert json.loads(text)["image_size"] == 32
