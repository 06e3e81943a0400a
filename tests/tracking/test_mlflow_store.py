from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from mlflow import telemetry

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.telemetry import disable_telemetry
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, connect, format_experiment_page
from tests.helpers.warm_commands import warm_context


@pytest.mark.slow
def test_processes_that_open_a_fresh_store_at_once_do_not_break_it(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlruns.db"
    context = warm_context()
    barrier = context.Barrier(3)
    processes = [context.Process(target=_open_store, args=(uri, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [experiment.name for experiment in connect(uri).search_experiments()] == ["Default"]


def _open_store(uri: str, barrier: Barrier) -> None:
    barrier.wait()
    connect(uri).search_experiments()


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "./store"])
def test_stores_that_mlflow_retires_are_refused(uri):
    with pytest.raises(UserError, match="is not a tracking store"):
        check_tracking_uri(uri)


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("sqlite:////data/mlruns.db", "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning"),
        ("https://me:secret@host/", "https://host/#/experiments/3/runs?workflowType=machine_learning"),
        ("postgresql://host/db", None),
    ],
)
def test_the_page_of_an_experiment_hides_the_password(uri, page):
    assert format_experiment_page(uri, "3") == page


@pytest.mark.slow
def test_mlflow_reports_nothing(tmp_path: Path):
    code = (
        "import mlflow.telemetry as telemetry; from medmamba_monai.tracking.mlflow_store import connect; "
        "before = telemetry.get_telemetry_client() is not None; connect('http://127.0.0.1:1'); "
        "print(before, telemetry.get_telemetry_client() is not None)"
    )
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment["HOME"] = str(tmp_path)
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == "False False", run.stderr


def test_a_user_who_has_decided_on_reports_is_obeyed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    client = object()
    monkeypatch.setattr(telemetry.client, "_MLFLOW_TELEMETRY_CLIENT", client)
    disable_telemetry()
    assert telemetry.get_telemetry_client() is client
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
