from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, connect, format_experiment_page


def test_processes_that_open_a_fresh_store_at_once_do_not_break_it(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlruns.db"
    code = f"from medmamba_monai.tracking.mlflow_store import connect; connect({uri!r}).search_experiments()"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [experiment.name for experiment in connect(uri).search_experiments()] == ["Default"]


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


@pytest.mark.parametrize(("chosen", "reports"), [(None, "True False"), ("false", "True True")])
def test_mlflow_reports_nothing_unless_the_user_has_decided(tmp_path: Path, chosen, reports):
    code = (
        "import mlflow.telemetry as telemetry; from medmamba_monai.tracking.mlflow_store import connect; "
        "before = telemetry.get_telemetry_client() is not None; connect('http://127.0.0.1:1'); "
        "print(before, telemetry.get_telemetry_client() is not None)"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**kept, "HOME": str(tmp_path), **({"MLFLOW_DISABLE_TELEMETRY": chosen} if chosen else {})}
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == reports, run.stderr
