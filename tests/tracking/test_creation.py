"""A store that makes a run and does not answer in time has it once all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from medmamba_monai.tracking import creation
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from tests.helpers.small_bundle import SmallBundle

CREATE = MlflowClient.create_run


@pytest.fixture
def uri(small_bundle: SmallBundle, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(small_bundle.store, tmp_path / 'mlruns.db')}"


def begin(folder: Path, parent: str | None = None) -> Journal:
    journal = Journal(folder)
    journal.start(folder.name, parent)
    journal.log_params({"epochs": 2})
    return journal


def list_runs(uri: str) -> list[Any]:
    client = MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name("phantom").experiment_id]))


def answer_too_late(client: MlflowClient, *args: Any, **kwargs: Any) -> Any:
    CREATE(client, *args, **kwargs)
    raise MlflowException("read timed out")


def ask_twice(client: MlflowClient, *args: Any, **kwargs: Any) -> Any:
    CREATE(client, *args, **kwargs)
    return CREATE(client, *args, **kwargs)


def test_a_run_whose_making_was_never_heard_of_is_found_again(uri, tmp_path, monkeypatch):
    for name in ("parent", "other"):
        begin(tmp_path / name)
        JournalSender(tmp_path / name, uri, "phantom").send()
    parent_id, other_id = (
        json.loads((tmp_path / name / "mlflow.json").read_text())["run_id"] for name in ("parent", "other")
    )
    journal = begin(tmp_path / "run", "../parent")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", answer_too_late)
        sender = JournalSender(tmp_path / "run", uri, "phantom")
        assert not sender.send()
        assert sender.run_id is None
    journal.set_status("FINISHED")
    again = JournalSender(tmp_path / "run")  # as another process, `medmamba-monai send`
    assert again.send()
    assert {run.info.run_id for run in list_runs(uri)} == {parent_id, other_id, again.run_id}
    run = MlflowClient(uri).get_run(again.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"epochs": "2"})
    assert run.data.tags["mlflow.parentRunId"] == parent_id


def test_a_run_that_a_slow_store_made_twice_is_deleted_once(uri, tmp_path, monkeypatch):
    journal = begin(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", ask_twice)
        patch.setattr(creation, "DOUBTFUL_SECONDS", 0.0)
        assert JournalSender(tmp_path / "run", uri, "phantom").send()
    assert len(list_runs(uri)) == 2
    journal.set_status("FINISHED")
    sender = JournalSender(tmp_path / "run")
    assert sender.send()
    (run,) = list_runs(uri)
    assert run.info.run_id == sender.run_id
    assert run.info.status == "FINISHED"


def test_a_run_begun_afresh_is_not_the_one_that_was_made_late(uri, tmp_path, monkeypatch):
    journal = begin(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", answer_too_late)
        assert not JournalSender(tmp_path / "run", uri, "phantom").send()
    sender = JournalSender(tmp_path / "run")
    sender.send()
    first = sender.run_id
    journal.start("run", None, afresh=True)
    journal.set_status("FINISHED")
    assert sender.send()
    assert sender.run_id != first
    assert {run.info.run_id for run in list_runs(uri)} == {first, sender.run_id}
