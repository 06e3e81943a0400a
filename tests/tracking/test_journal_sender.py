from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender, send_pending
from medmamba_monai.tracking.mlflow_store import connect
from tests.helpers.small_bundle import SmallBundle, free_port, mlflow_service


@pytest.fixture
def database(small_bundle: SmallBundle, tmp_path: Path) -> Path:
    """A copy of the empty store: making one takes seconds."""
    return Path(shutil.copy(small_bundle.store, tmp_path / "mlruns.db"))


def a_run(directory: Path, parent: str | None = None) -> Journal:
    journal = Journal(directory)
    journal.start(directory.name, parent)
    journal.log_params({"epochs": 2})
    journal.set_tags({"dataset": "phantom"})
    journal.log_dataset(RunDataset("phantom", "abc"))
    for step in (1, 2):
        journal.log_metrics({"train/loss": 1.0 / step}, step)
    (directory / "predictions.csv").write_text("id\n")
    journal.log_artifact(directory / "predictions.csv", "tables")
    journal.set_status("FINISHED")
    return journal


def check_run(client: MlflowClient, run_id: str) -> None:
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "2"}
    assert run.data.tags["dataset"] == "phantom"
    assert [found.dataset.name for found in run.inputs.dataset_inputs] == ["phantom"]
    assert [metric.value for metric in client.get_metric_history(run_id, "train/loss")] == [1.0, 0.5]
    assert [file.path for file in client.list_artifacts(run_id, "tables")] == ["tables/predictions.csv"]


def test_a_journal_arrives_in_sqlite_with_its_artifacts_beside_the_database(database, tmp_path):
    uri = f"sqlite:///{database}"
    a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    assert sender.send()
    assert sender.count_pending() == 0
    check_run(MlflowClient(uri), sender.run_id)
    assert len(list((tmp_path / "mlartifacts").rglob("predictions.csv"))) == 1


def test_sending_again_sends_nothing_twice(database, tmp_path):
    uri = f"sqlite:///{database}"
    a_run(tmp_path / "run")
    first = JournalSender(tmp_path / "run", uri, "phantom")
    first.send()
    again = JournalSender(tmp_path / "run")
    assert again.send()
    assert again.run_id == first.run_id
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("phantom")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_a_line_that_is_sent_twice_changes_nothing(database, tmp_path):
    uri = f"sqlite:///{database}"
    journal = a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    sender.send()
    started = journal.path.read_bytes().index(b"\n") + 1
    state = tmp_path / "run" / "mlflow.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "sent_bytes": started}))
    again = JournalSender(tmp_path / "run")
    assert again.count_pending() > 0
    assert again.send()
    check_run(MlflowClient(uri), sender.run_id)


def test_children_carry_their_parents_id(database, tmp_path):
    uri = f"sqlite:///{database}"
    a_run(tmp_path / "run")
    a_run(tmp_path / "run" / "fold_0", parent="..")
    child = JournalSender(tmp_path / "run" / "fold_0", uri, "phantom")
    assert not child.send()
    parent = JournalSender(tmp_path / "run", uri, "phantom")
    parent.send()
    assert child.send()
    assert MlflowClient(uri).get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


@pytest.mark.slow
def test_what_a_server_could_not_take_is_sent_later(database, tmp_path, caplog):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    a_run(tmp_path / "run")
    a_run(tmp_path / "run" / "fold_0", parent="..")
    for folder in (tmp_path / "run", tmp_path / "run" / "fold_0"):
        assert not JournalSender(folder, uri, "phantom").send()
    assert "medmamba-monai send" in caplog.text
    with mlflow_service("server", database, tmp_path, port):
        assert send_pending(tmp_path / "run") == 0
        check_run(MlflowClient(uri), JournalSender(tmp_path / "run").run_id)
        check_run(MlflowClient(uri), JournalSender(tmp_path / "run" / "fold_0").run_id)


def test_a_server_that_is_away_costs_seconds_not_minutes(tmp_path):
    a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", f"http://127.0.0.1:{free_port()}", "phantom")
    sender.send()
    began = time.monotonic()
    assert not sender.send(force=False)
    assert time.monotonic() - began < 1


def test_another_store_gets_everything(database, tmp_path):
    other = shutil.copy(database, tmp_path / "other.db")
    a_run(tmp_path / "run")
    JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom").send()
    second = JournalSender(tmp_path / "run", f"sqlite:///{other}", "phantom")
    assert second.run_id is None
    second.send()
    check_run(MlflowClient(f"sqlite:///{other}"), second.run_id)


def test_a_run_begun_afresh_is_another_run_in_the_store(database, tmp_path):
    a_run(tmp_path / "run")
    first = JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom")
    first.send()
    Journal(tmp_path / "run").start("again", afresh=True)
    second = JournalSender(tmp_path / "run")
    assert second.send()
    client = MlflowClient(f"sqlite:///{database}")
    assert client.get_run(second.run_id).info.run_name == "again"
    check_run(client, first.run_id)


def test_a_deleted_experiment_is_a_clear_error(database, tmp_path):
    uri = f"sqlite:///{database}"
    client = connect(uri)
    client.delete_experiment(client.create_experiment("phantom"))
    a_run(tmp_path / "run")
    with pytest.raises(UserError, match="'phantom' was deleted"):
        JournalSender(tmp_path / "run", uri, "phantom").send()


def test_a_folder_without_a_run_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="holds no tracked run"):
        send_pending(tmp_path)
