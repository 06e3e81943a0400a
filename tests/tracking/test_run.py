from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ignite.engine import Events
from mlflow import MlflowClient
from mlflow.entities import Run
from monai.handlers import StatsHandler

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking import RunDataset, TrackedRun, journal_sender, send_pending
from medmamba_monai.tracking import run as tracked_run
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.tracking.run import choose_end_status, reopen_run
from medmamba_monai.training import TrackTraining
from tests.helpers.other_servers import serve
from tests.helpers.small_bundle import SmallBundle
from tests.helpers.small_training import SmallTraining


@pytest.fixture
def uri(small_bundle: SmallBundle, tmp_path: Path) -> str:
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    return f"sqlite:///{tmp_path}/mlruns.db"


def tracked(folder: Path, uri: str, epochs: int = 2, resume: bool = True, **options: Any) -> SmallTraining:
    """A small training whose run is logged, with `StatsHandler` as in the bundles."""
    training = SmallTraining(folder, epochs=epochs, resume=resume)
    run = TrackedRun(folder, uri, "phantom", "small", resume=resume)
    tags = {"dataset": "phantom"}
    handler = TrackTraining(run, {"epochs": epochs, "depths": [1, 1]}, tags, training.evaluator, **options)
    handler.attach(training.trainer)
    StatsHandler(output_transform=lambda output: output["loss"]).attach(training.trainer)
    return training


def run_of(folder: Path, uri: str) -> Run:
    return MlflowClient(uri).get_run(TrackedRun(folder, uri, "phantom", "small").run_id)


def crash_with(training: SmallTraining, error: BaseException, event: Events) -> None:
    def crash(engine):
        raise error

    training.trainer.add_event_handler(event, crash)


def test_parameters_tags_and_the_best_epoch_are_logged(tmp_path, uri):
    training = tracked(tmp_path / "run", uri)
    training.run()
    run, state = run_of(tmp_path / "run", uri), training.evaluator.state
    assert (run.info.status, run.info.run_name) == ("FINISHED", "small")
    assert run.data.params == {"epochs": "2", "depths": "[1, 1]"}
    assert run.data.tags["dataset"] == "phantom"
    assert run.data.metrics["best/epoch"] == state.best_metric_epoch
    assert run.data.metrics["best/val_auc"] == state.best_metric


def test_every_epoch_has_its_metrics(tmp_path, uri):
    training = tracked(tmp_path / "run", uri, epochs=3)
    training.run()
    client, run = MlflowClient(uri), run_of(tmp_path / "run", uri)
    for key in ("validation/auc", "learning_rate", "epoch_seconds", "images_per_second"):
        history = client.get_metric_history(run.info.run_id, key)
        assert [metric.step for metric in history] == [1, 2, 3]
        assert all(metric.value >= 0 for metric in history)


@pytest.mark.parametrize(
    ("error", "status", "event"),
    [
        (ValueError("x"), "FAILED", Events.EPOCH_COMPLETED),
        (UserError("x"), "FAILED", Events.ITERATION_COMPLETED),
        (RuntimeError("x"), "FAILED", Events.STARTED),
        (KeyboardInterrupt(), "KILLED", Events.ITERATION_COMPLETED),
        (SystemExit(), "KILLED", Events.EPOCH_STARTED),
    ],
)
def test_the_status_tells_how_a_run_ended(tmp_path, uri, error, status, event):
    training = tracked(tmp_path / "run", uri)
    crash_with(training, error, event)
    with pytest.raises(type(error)):
        training.run()
    assert run_of(tmp_path / "run", uri).info.status == status


def test_a_resumed_run_goes_on_as_the_same_run(tmp_path, uri):
    first = tracked(tmp_path / "run", uri, epochs=3)
    crash_with(first, KeyboardInterrupt(), Events.EPOCH_STARTED(once=2))
    with pytest.raises(KeyboardInterrupt):
        first.run()
    killed = run_of(tmp_path / "run", uri)
    tracked(tmp_path / "run", uri, epochs=3).run()
    finished = run_of(tmp_path / "run", uri)
    assert (killed.info.status, finished.info.status) == ("KILLED", "FINISHED")
    assert killed.info.run_id == finished.info.run_id
    history = MlflowClient(uri).get_metric_history(finished.info.run_id, "validation/auc")
    assert [metric.step for metric in history] == [1, 2, 3]


def test_a_training_from_the_start_is_another_run(tmp_path, uri):
    tracked(tmp_path / "run", uri, epochs=2).run()
    before = run_of(tmp_path / "run", uri)
    tracked(tmp_path / "run", uri, epochs=1, resume=False).run()
    after = run_of(tmp_path / "run", uri)
    assert before.info.run_id != after.info.run_id
    assert after.data.params["epochs"] == "1"
    assert len(MlflowClient(uri).get_metric_history(after.info.run_id, "validation/auc")) == 1
    assert MlflowClient(uri).get_run(before.info.run_id).info.status == "FINISHED"


def test_weights_are_logged_where_they_exist(tmp_path, uri):
    directory = tmp_path / "run"
    files = (directory / "model.safetensors", directory / "no_such.safetensors")
    tracked(directory, uri, artifacts=files).run()
    run_id = run_of(directory, uri).info.run_id
    assert [file.path for file in MlflowClient(uri).list_artifacts(run_id, "weights")] == ["weights/model.safetensors"]


def test_a_run_that_an_evaluation_follows_stays_running(tmp_path, uri):
    tracked(tmp_path / "run", uri, finish=False).run()
    assert run_of(tmp_path / "run", uri).info.status == "RUNNING"


def test_without_an_address_everything_stays_in_the_folder(tmp_path):
    training = tracked(tmp_path / "run", "")
    training.run()
    operations = [line["op"] for line in read_lines(tmp_path / "run" / "tracking.jsonl")]
    assert operations[:2] == ["start", "status"]
    assert operations.count("metrics") >= 2
    assert not (tmp_path / "run" / "mlflow.json").exists()


def test_a_run_that_failed_before_it_started_is_there_all_the_same(tmp_path, uri):
    TrackedRun(tmp_path / "run", uri, "phantom", "small").finish("FAILED")
    assert run_of(tmp_path / "run", uri).info.status == "FAILED"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path, uri):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        TrackedRun(tmp_path / "file" / "run", uri, "phantom", "small").start()


def test_a_run_that_is_only_described_leaves_no_trace(tmp_path):
    run = TrackedRun(tmp_path / "run", f"sqlite:///{tmp_path}/mlruns.db", "phantom", "small")
    assert run.run_id is None
    assert not run.journal.started
    assert not list(tmp_path.iterdir())


def test_a_run_described_with_another_experiment_stays_the_run_that_it_was(tmp_path, uri):
    TrackedRun(tmp_path / "run", uri, "phantom", "small").finish("FINISHED")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert TrackedRun(tmp_path / "run", uri, "other", "small").run_id is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert reopen_run(tmp_path / "run").run_id == run_of(tmp_path / "run", uri).info.run_id


def test_a_run_that_has_started_can_be_sent_later(tmp_path, uri):
    run = TrackedRun(tmp_path / "run", uri, "phantom", "small")
    run.start()
    assert run.run_id is None
    assert send_pending(tmp_path / "run") == 0
    assert run_of(tmp_path / "run", uri).info.status == "RUNNING"


def test_the_page_of_a_run_is_known_once_it_was_sent(tmp_path, uri):
    run = TrackedRun(tmp_path / "run", uri, "phantom", "small")
    run.start()
    assert run.find_page() is None
    run.send()
    experiment = MlflowClient(uri).get_experiment_by_name("phantom").experiment_id
    assert run.find_page() == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=machine_learning"


def test_a_run_names_its_dataset(tmp_path, uri):
    dataset = RunDataset("phantom", "0123456789abcdef" * 4)
    for _ in range(2):  # a run that goes on names it once
        TrackedRun(tmp_path / "run", uri, "phantom", "small", dataset=dataset).start()
    assert send_pending(tmp_path / "run") == 0
    (found,) = run_of(tmp_path / "run", uri).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("phantom", "0123456789ab")
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "training"}
    assert str(tmp_path) not in found.dataset.source


def test_a_failed_run_says_why_and_names_no_file(tmp_path, uri):
    training = tracked(tmp_path / "run", uri, epochs=1)
    crash_with(training, UserError("/data/Max Mueller.png: is damaged, download it again"), Events.EPOCH_STARTED)
    with pytest.raises(UserError):
        training.run()
    tags = run_of(tmp_path / "run", uri).data.tags
    assert tags["failure"] == "(a file of that machine) is damaged, download it again"
    tracked(tmp_path / "run", uri, epochs=1).run()
    assert run_of(tmp_path / "run", uri).data.tags["failure"] == "none"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UserError("the loss is nan in epoch 1 (samples train-1)"), "the loss is nan in epoch 1 (samples train-1)"),
        (
            UserError("scan of Mueller.dcm: a\nlower --learning_rate"),
            "(a file of that machine) a\nlower --learning_rate",
        ),
        (UserError("http://me:secret@host/x is away"), "(a file of that machine) is away"),
        (UserError("C:\\Mueller\\x cannot be read"), "(a file of that machine) cannot be read"),
        (KeyError("Mueller"), "KeyError; the log on the machine that it ran on says more"),
        (KeyboardInterrupt(), "stopped"),
        (SystemExit(143), "stopped (exit code 143)"),
    ],
)
def test_a_reason_tells_nothing_private(error, reason):
    assert describe_failure(error) == reason


def test_a_slow_server_does_not_hold_the_training(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tracked_run, "START_SECONDS", 0.2)
    monkeypatch.setattr(tracked_run, "END_SECONDS", 0.4)
    with serve(b"{" + b" " * 1000 + b"}", seconds_per_byte=0.2) as address:
        run = TrackedRun(tmp_path / "run", address, "phantom", "small")
        began = time.monotonic()
        run.start()
        run.send()
        for step in range(1, 4):
            run.journal.log_metrics({"train/loss": 1.0}, step)
            run.send(force=False)
        run.finish("FINISHED")
        assert time.monotonic() - began < 30  # its answer takes 200
    assert f"takes too long; what it does not have yet is kept in {tmp_path / 'run'}" in caplog.text
    assert "--new-run" not in caplog.text
    assert [line["op"] for line in read_lines(tmp_path / "run" / "tracking.jsonl")].count("metrics") == 3


def test_a_single_call_that_is_stuck_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_sender, "STEP_SECONDS", 0.2)
    monkeypatch.setattr("medmamba_monai.tracking.background_sender.STEP_SECONDS", 0.2)
    with serve(b" " * 1000, seconds_per_byte=0.2) as address:
        run = TrackedRun(tmp_path / "run", address, "phantom", "small")
        run.start()
        began = time.monotonic()
        run.finish("FINISHED")
        assert time.monotonic() - began < 30  # its answer takes 200


def test_where_the_journal_cannot_be_written_the_store_knows_how_the_run_ended(tmp_path, uri, caplog):
    run = TrackedRun(tmp_path / "run", uri, "phantom", "small")
    run.start()
    run.send()
    journal = run.journal.path.rename(tmp_path / "run" / "kept.jsonl")
    run.journal.path.mkdir()
    run.finish("FAILED", "a full disk")
    assert "the run ended as FAILED, which could not be written down: cannot write" in caplog.text
    with pytest.raises(UserError, match="cannot write"):
        run.finish("FINISHED")
    assert run_of(tmp_path / "run", uri).info.status == "FINISHED"
    run.journal.path.rmdir()
    journal.rename(run.journal.path)
    again = TrackedRun(tmp_path / "run", uri, "phantom", "small")
    again.start()
    again.send()
    assert run_of(tmp_path / "run", uri).info.status == "RUNNING"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_and_a_closed_terminal_leave_no_run_running(tmp_path, uri, number):
    training = tracked(tmp_path / "run", uri)
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: signal.raise_signal(number))
    outside = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, which a training respects
    try:
        with pytest.raises(SystemExit):
            training.run()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, outside)
    run = run_of(tmp_path / "run", uri)
    assert (run.info.status, run.data.tags["failure"]) == ("KILLED", f"stopped (exit code {128 + number})")


def test_a_training_that_may_not_go_on_leaves_the_run_as_it_was(tmp_path, uri):
    folder = tmp_path / "run"
    first = SmallTraining(folder, epochs=1, settings={"learning_rate": 0.1})
    TrackTraining(TrackedRun(folder, uri, "phantom", "small"), {}, {}, first.evaluator).attach(first.trainer)
    first.run()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = SmallTraining(tmp_path / "other", epochs=1)
    run = TrackedRun(folder, uri, "phantom", "small", resume=False)
    TrackTraining(run, {}, {}, other.evaluator).attach(other.trainer)
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="is in use: this training is running already"):
        other.run()
    second = SmallTraining(folder, epochs=2, settings={"learning_rate": 0.2})
    run = TrackedRun(folder, uri, "other", "small")
    TrackTraining(run, {"epochs": 2}, {}, second.evaluator, checkpoint=second.checkpoint).attach(second.trainer)
    with pytest.raises(UserError, match="was trained with learning_rate"):
        second.run()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_run_that_began_without_a_store_stays_here_until_one_is_named(tmp_path, uri, caplog):
    folder = tmp_path / "run"
    TrackedRun(folder, "", "phantom", "small").finish("FAILED")
    again = TrackedRun(folder, uri, "phantom", "small")
    again.start()
    again.finish("FINISHED")
    assert again.stays_local
    assert again.run_id is None
    assert f"medmamba-monai send {folder} --tracking_uri {uri}" in caplog.text
    assert reopen_run(folder).stays_local
    with pytest.raises(UserError, match="began with --tracking_uri ''"):
        send_pending(folder)
    assert not (folder / "mlflow.json").exists()
    assert send_pending(folder, tracking_uri=uri) == 0
    assert run_of(folder, uri).info.status == "FINISHED"
    assert not TrackedRun(folder, uri, "phantom", "small").stays_local


def test_a_run_that_is_told_to_stay_is_not_sent_by_what_comes_later(tmp_path, uri):
    TrackedRun(tmp_path / "run", uri, "phantom", "small").finish("FAILED")
    TrackedRun(tmp_path / "run", "", "phantom", "small").start()
    later = reopen_run(tmp_path / "run")
    later.journal.log_metrics({"secret": 1.0})
    later.send()
    with pytest.raises(UserError, match="name a store"):
        send_pending(tmp_path / "run")
    run_id = json.loads((tmp_path / "run" / "mlflow.json").read_text())["run_id"]
    assert MlflowClient(uri).get_run(run_id).data.metrics == {}


def test_a_run_begun_anew_may_have_a_store(tmp_path, uri):
    TrackedRun(tmp_path / "run", "", "phantom", "small").finish("FINISHED")
    run = TrackedRun(tmp_path / "run", uri, "phantom", "small", resume=False)
    run.finish("FAILED")
    assert not run.stays_local
    assert run_of(tmp_path / "run", uri).info.status == "FAILED"
    statuses = [line["status"] for line in read_lines(tmp_path / "run" / "tracking.jsonl") if line["op"] == "status"]
    assert statuses == ["RUNNING", "FINISHED", "RUNNING", "FAILED"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(2), "KILLED"), (RuntimeError(), "FAILED")],
)
def test_the_end_of_a_run_chooses_its_status(error, status):
    assert choose_end_status(error) == status
