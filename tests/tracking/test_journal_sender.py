from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from medmamba_monai.tracking.mlflow_store import connect
from medmamba_monai.tracking.send import deliver, send_pending
from medmamba_monai.tracking.store_problems import ForeignServerError, RunGoneError
from tests.helpers.other_servers import serve
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
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mistakes.png").write_text("the pixels of a patient")
    a_run(tmp_path / "run").log_artifact(tmp_path / "run" / "mistakes.png", "tables", stays_here=True)
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


def test_a_run_that_was_deleted_is_said_and_can_be_sent_to_a_new_one(database, tmp_path, caplog):
    uri = f"sqlite:///{database}"
    journal = a_run(tmp_path / "run")
    first = JournalSender(tmp_path / "run", uri, "phantom")
    first.send()
    client = MlflowClient(uri)
    client.delete_run(first.run_id)
    journal.log_metrics({"train/loss": 0.25}, 3)
    assert not JournalSender(tmp_path / "run").send()
    assert f"run {first.run_id} was deleted" in caplog.text
    assert f"medmamba-monai send {tmp_path / 'run'} --new-run" in caplog.text
    assert send_pending(tmp_path / "run") == 1
    delivery = deliver(tmp_path / "run", new_run=True)
    assert (delivery.pending, delivery.missing, str(delivery)) == (0, 0, "everything is in MLflow")
    new_id = JournalSender(tmp_path / "run").run_id
    assert new_id != first.run_id
    history = [metric.value for metric in client.get_metric_history(new_id, "train/loss")]
    assert history == [1.0, 0.5, 0.25]
    assert client.get_run(first.run_id).info.lifecycle_stage == "deleted"


def test_a_run_that_was_deleted_after_all_was_sent_is_missing(database, tmp_path):
    uri = f"sqlite:///{database}"
    a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    sender.send()
    MlflowClient(uri).delete_run(sender.run_id)
    delivery = deliver(tmp_path / "run")
    assert (delivery.pending, delivery.missing, delivery.complete) == (0, 1, False)
    assert "not in MLflow any more" in str(delivery)


def test_a_run_that_is_still_there_goes_on_below_a_new_parent(database, tmp_path):
    uri = f"sqlite:///{database}"
    a_run(tmp_path / "run")
    a_run(tmp_path / "run" / "fold_0", parent="..")
    senders = [JournalSender(folder, uri, "phantom") for folder in (tmp_path / "run", tmp_path / "run" / "fold_0")]
    assert [sender.send() for sender in senders] == [True, True]
    client = MlflowClient(uri)
    client.delete_run(senders[0].run_id)
    assert deliver(tmp_path / "run", new_run=True).complete
    parent, child = JournalSender(tmp_path / "run"), JournalSender(tmp_path / "run" / "fold_0")
    assert parent.run_id != senders[0].run_id
    assert child.run_id == senders[1].run_id
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    check_run(client, parent.run_id)


def test_a_run_begun_afresh_does_not_wait_for_one_that_was_deleted(database, tmp_path, caplog):
    uri = f"sqlite:///{database}"
    journal = a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    sender.send()
    MlflowClient(uri).delete_run(sender.run_id)
    journal.log_metrics({"train/loss": 0.25}, 3)
    journal.start("again", afresh=True)
    assert JournalSender(tmp_path / "run").send()
    assert "another run was begun since" in caplog.text
    assert JournalSender(tmp_path / "run").state["skipped"] == 1


def test_a_store_that_was_deleted_is_not_made_again_in_silence(database, tmp_path, caplog):
    uri = f"sqlite:///{database}"
    journal = a_run(tmp_path / "run")
    JournalSender(tmp_path / "run", uri, "phantom").send()
    database.unlink()
    journal.log_metrics({"train/loss": 0.25}, 3)
    sender = JournalSender(tmp_path / "run")
    assert not sender.send()
    assert isinstance(sender.problem, RunGoneError)
    assert f"the file {database} is not there any more" in caplog.text
    assert not database.exists()


def test_a_store_that_does_not_know_the_run_gets_it_as_a_new_one(database, tmp_path):
    journal = a_run(tmp_path / "run")
    JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom").send()
    path, unknown = tmp_path / "run" / "mlflow.json", "0" * 32
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_id": unknown}))
    journal.log_metrics({"train/loss": 0.25}, 3)
    sender = JournalSender(tmp_path / "run")
    assert not sender.send()
    assert f"run {unknown} does not exist there" in str(sender.problem)
    assert deliver(tmp_path / "run", new_run=True).complete
    found = JournalSender(tmp_path / "run").run_id
    assert len(MlflowClient(f"sqlite:///{database}").get_metric_history(found, "train/loss")) == 3


@pytest.mark.parametrize("body", [b"{}", b'{"status": "ok", "run": 3}', b"[]", b"<html>Sign in</html>"])
def test_what_a_foreign_server_was_sent_is_still_pending(tmp_path, caplog, body):
    journal = a_run(tmp_path / "run")
    with serve(body) as address:
        sender = JournalSender(tmp_path / "run", address, "phantom")
        assert not sender.send()
    assert isinstance(sender.problem, ForeignServerError)
    assert sender.count_pending() == len(journal.path.read_bytes().splitlines())
    assert "Check the address" in caplog.text


def test_a_foreign_server_in_the_place_of_the_store_acknowledges_nothing(database, tmp_path):
    journal = a_run(tmp_path / "run")
    JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom").send()
    journal.log_metrics({"train/loss": 0.25}, 3)
    path = tmp_path / "run" / "mlflow.json"
    with serve(b"{}") as address:
        path.write_text(json.dumps({**json.loads(path.read_text()), "tracking_uri": address}))
        sender = JournalSender(tmp_path / "run")
        assert not sender.send()
    assert isinstance(sender.problem, ForeignServerError)
    assert JournalSender(tmp_path / "run").count_pending() == 1


def test_a_value_that_is_refused_takes_no_other_with_it_and_is_counted(database, tmp_path, caplog):
    uri = f"sqlite:///{database}"
    journal = Journal(tmp_path / "run")
    journal.start("run")
    journal.log_params({"short": 1, "no?name": 2})
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    assert sender.send()
    assert MlflowClient(uri).get_run(sender.run_id).data.params == {"short": "1"}
    assert "refuses an entry for good" in caplog.text
    assert str(deliver(tmp_path / "run")) == "everything is in MLflow but 1 that it cannot have; the log named it"


def test_metrics_of_many_lines_travel_together_and_one_that_is_refused_alone(database, tmp_path, monkeypatch):
    uri = f"sqlite:///{database}"
    journal = Journal(tmp_path / "run")
    journal.start("run")
    for step in range(120):
        journal.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    sizes, log_batch = [], MlflowClient.log_batch

    def count(client, run_id, metrics=(), **others):
        sizes.append(len(metrics))
        log_batch(client, run_id, metrics=metrics, **others)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    sender = JournalSender(tmp_path / "run", uri, "phantom")
    assert sender.send()
    assert sizes[-2:] == [100, 20]
    journal.log_metrics({"no?name": 1.0, "good": 2.0}, 0)
    journal.log_metrics({"good": 3.0}, 1)
    assert sender.send()
    client = MlflowClient(uri)
    assert [metric.step for metric in client.get_metric_history(sender.run_id, "train/loss")] == list(range(120))
    assert [metric.value for metric in client.get_metric_history(sender.run_id, "good")] == [2.0, 3.0]
    assert sender.state["skipped"] == 1


def test_a_damaged_line_is_skipped_and_the_rest_arrives(database, tmp_path):
    journal = a_run(tmp_path / "run")
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:2], b"\0\0\n", *lines[2:]]))
    sender = JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom")
    assert sender.send()
    check_run(MlflowClient(f"sqlite:///{database}"), sender.run_id)
    assert sender.state["skipped"] == 1


@pytest.mark.parametrize("content", ["", '{"run_id": "4', "[]", '{"tracking_uri": "sqlite:///x.db"}'])
def test_a_damaged_state_says_what_to_do(tmp_path, content):
    a_run(tmp_path / "run")
    (tmp_path / "run" / "mlflow.json").write_text(content)
    with pytest.raises(UserError, match=r"mlflow\.json is damaged.*backup"):
        send_pending(tmp_path / "run")


def test_a_store_that_is_damaged_is_one_line(tmp_path, caplog):
    (tmp_path / "mlruns.db").write_bytes(b"no database" * 1000)
    a_run(tmp_path / "run")
    assert not JournalSender(tmp_path / "run", f"sqlite:///{tmp_path}/mlruns.db", "phantom").send()
    (message,) = [record.message for record in caplog.records if record.name == "medmamba_monai.tracking"]
    assert "file is not a database" in message
    assert len(message.splitlines()) == 1


def test_only_one_process_sends(database, tmp_path):
    a_run(tmp_path / "run")
    sender = JournalSender(tmp_path / "run", f"sqlite:///{database}", "phantom")
    with FileLock(tmp_path / "run" / ".mlflow.lock"):
        assert not sender.send()
    assert sender.run_id is None
    assert sender.send()


def test_the_name_of_an_experiment_leads_to_no_other_folder(database, tmp_path):
    a_run(tmp_path / "run")
    assert JournalSender(tmp_path / "run", f"sqlite:///{database}", "../../x").send()
    (artifact,) = [path for path in tmp_path.rglob("predictions.csv") if "run" not in path.relative_to(tmp_path).parts]
    assert artifact.is_relative_to(tmp_path / "mlartifacts" / "__.._x-9cdf6a50")
    assert not list(tmp_path.parent.glob("x*"))


def test_another_journal_in_the_place_of_the_first_is_sent_as_a_new_run(database, tmp_path, caplog):
    uri = f"sqlite:///{database}"
    journal = a_run(tmp_path / "run")
    first = JournalSender(tmp_path / "run", uri, "phantom")
    first.send()
    journal.path.unlink()
    a_run(tmp_path / "run")
    second = JournalSender(tmp_path / "run")
    assert second.count_pending() > 0
    assert second.send()
    assert second.run_id != first.run_id
    check_run(MlflowClient(uri), second.run_id)
    assert "is another journal than the one that was sent" in caplog.text
