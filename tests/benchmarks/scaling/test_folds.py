"""What stands for a fold logs as one, to a real store; its folder's flushes are counted."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from benchmarks.scaling.__main__ import main
from benchmarks.scaling.arrived import send_rest
from benchmarks.scaling.folder import count_flushes, name_kind
from benchmarks.scaling.folds import EXPERIMENT, FIGURES, METRICS, PARAMETERS, Told, run_fold, summarize
from medmamba_monai.core.files import write_json
from medmamba_monai.tracking import TrackedRun
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from tests.helpers.minutes import takes_minutes
from tests.helpers.small_bundle import SmallBundle


@pytest.fixture
def logged(small_bundle: SmallBundle, tmp_path: Path) -> Path:
    """The folder of a cross-validation whose first fold has logged to a SQLite file beside it."""
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    address = f"sqlite:///{tmp_path}/mlruns.db"
    TrackedRun(tmp_path / "run", address, EXPERIMENT, "folds").start()
    JournalSender(tmp_path / "run").send()
    run_fold(Told(tmp_path / "run", address, 0.0001, 10, {"device": "cpu"}), 0, threading.Barrier(1))
    return tmp_path / "run"


def test_a_fold_logs_its_beginning_its_epochs_and_its_end(logged: Path) -> None:
    folder, client = logged / "fold_0", MlflowClient(f"sqlite:///{logged.parent}/mlruns.db")
    measured = json.loads((folder / "measured.json").read_text())
    run = client.get_run(json.loads((folder / "mlflow.json").read_text())["run_id"])
    assert run.info.status == "FINISHED"
    assert len(run.data.params) == PARAMETERS
    assert set(METRICS) < run.data.metrics.keys()
    assert len(client.list_artifacts(run.info.run_id, "figures")) == FIGURES
    assert [epoch["calls"] for epoch in measured["epochs"]] == [3] * len(measured["epochs"])
    assert {part["problem"] for part in (measured["begin"], *measured["epochs"], measured["end"])} == {""}


def test_what_a_store_lacks_or_has_twice_is_found(logged: Path) -> None:
    assert send_rest(logged, 1) == {"left": 0, "missing": 0, "doubled": 0}

    journal, state = (logged / "fold_0" / name for name in ("tracking.jsonl", "mlflow.json"))
    sent = json.loads(state.read_text())
    epoch = next(line for line in journal.read_text().splitlines(keepends=True) if METRICS[0] in line)
    with journal.open("a") as lines:
        lines.write(epoch)
    state.write_text(json.dumps({**sent, "sent_bytes": journal.stat().st_size}))
    assert send_rest(logged, 1) == {"left": 0, "missing": 1, "doubled": 0}

    state.write_text(json.dumps({**sent, "run_id": None, "sent_bytes": 0}))
    assert send_rest(logged, 1) == {"left": 1, "missing": 1, "doubled": 1}


def fold(*epochs: tuple[float, str], seconds: float) -> dict[str, Any]:
    sent = [{"seconds": taken, "calls": 4, "problem": problem} for taken, problem in epochs]
    part = {"seconds": 0.5, "calls": 9, "problem": ""}
    return {"begin": part, "epochs": sent, "end": part, "seconds": seconds}


def test_what_was_refused_is_no_epoch_that_the_store_has() -> None:
    refused = "(sqlite3.OperationalError) database is locked"
    found = summarize([fold((1, ""), (2, ""), seconds=4), fold((20, refused), (3, ""), (4, "gone"), seconds=5)])
    assert (found["folds"], found["epochs"], found["refused"], found["locked"]) == (2, 3, 2, 1)
    assert found["epochs_per_second"] == pytest.approx(3 / 5)
    assert found["calls_per_second"] == pytest.approx(20 / 5)
    assert found["epoch"] == {"median": 3, "longest": 20}
    assert found["problems"] == [refused, "gone"]


def test_flushes_are_counted_by_what_they_are_of(tmp_path: Path) -> None:
    with count_flushes() as found:
        write_json(tmp_path / "mlflow.json", {})
        write_json(tmp_path / "other.json", "text")
        Journal(tmp_path).set_tags({"a": "b"})
    assert found.number == {"state of sending": 1, "others": 1, "folders": 2, "journal": 1}
    assert found.replaced == {"state of sending": 3, "others": 7}
    assert name_kind(tmp_path / "checkpoints" / ".checkpoint_epoch=0001.pt.0123abcd.pt") == "checkpoints"
    assert name_kind(tmp_path / ".model.safetensors.0123abcd.safetensors") == "weights"


@takes_minutes
@pytest.mark.slow
def test_the_command_measures_and_simulates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stores = ["SQLite", "server over SQLite"]
    assert main(["--quick", "--stores", *stores, "--json", str(tmp_path / "scaling.json")]) == 0
    result = json.loads((tmp_path / "scaling.json").read_text())
    assert list(result["stores"]) == stores
    assert [one["folds"] for one in result["stores"]["server over SQLite"]] == [1, 2]
    assert all(one["epochs"] > 0 and not one["refused"] for measured in result["stores"].values() for one in measured)
    assert result["folder"]["flushes"]["checkpoints"] == result["folder"]["epochs"] == 2
    assert "| 2 |" in capsys.readouterr().out
