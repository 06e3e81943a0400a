from __future__ import annotations

import shutil
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from mlflow import MlflowClient

from medmamba_monai.cli.main import main
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.journal_sender import JournalSender
from tests.helpers.small_bundle import ROOT, SmallBundle, free_port


def a_run(folder: Path, uri: str) -> JournalSender:
    journal = Journal(folder)
    journal.start("small")
    journal.log_metrics({"train/loss": 0.5}, step=1)
    journal.set_status("FINISHED")
    sender = JournalSender(folder, uri, "phantom")
    sender.save_address()  # as a tracked run does when it starts
    return sender


def test_send_delivers_what_is_pending(tmp_path, small_bundle: SmallBundle, capsys):
    shutil.copy(small_bundle.store, tmp_path / "mlruns.db")
    sender = a_run(tmp_path / "run", f"sqlite:///{tmp_path}/mlruns.db")
    assert main(["send", str(tmp_path)]) == 0
    assert "everything is in MLflow" in capsys.readouterr().out
    run_id = JournalSender(sender.directory).run_id
    assert MlflowClient(sender.state["tracking_uri"]).get_run(run_id).info.status == "FINISHED"


def test_send_says_what_is_still_pending(tmp_path, capsys):
    a_run(tmp_path / "run", f"http://127.0.0.1:{free_port()}")
    assert main(["send", str(tmp_path)]) == 1
    assert "4 entries are still pending" in capsys.readouterr().out


def test_send_in_a_folder_without_a_run_is_a_clear_error(tmp_path, capsys):
    assert main(["send", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} holds no tracked run (no mlflow.json in it)\n"


def test_bundle_generates_a_bundle(tmp_path, capsys):
    assert main(["bundle", str(ROOT / "data_lists" / "phantom" / "card.json"), str(tmp_path / "bundle")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "bundle" / "configs" / "train.json") in printed
    assert all(Path(name).is_file() for name in printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["review", "none"], "none: there is no such folder; give that of a cross-validation"),
        (["review", "none", "--resamples", "99"], "--resamples 99, of the bootstrap: give a whole number from 100"),
        (["compare", "a", "b", "--seed", "-1", "--tracking-uri", "sqlite:///none.db"], "--seed -1, of the bootstrap"),
        (["compare", "a", "b", "--tracking-uri", "sqlite:///none.db"], "there is no"),
        (["compare", "a", "b", "--tracking-uri", "http://127.0.0.1:9"], "cannot be read"),
    ],
)
def test_a_review_or_comparison_that_cannot_be_is_a_clear_error(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["no_such_command"], ["send"], ["review"], ["compare"]])
def test_a_wrong_command_line_shows_the_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage: medmamba-monai" in capsys.readouterr().err


def test_the_version_is_that_of_the_installed_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"medmamba-monai {version('medmamba-monai')}\n"


def test_the_console_script_is_this_command():
    (script,) = entry_points(group="console_scripts", name="medmamba-monai")
    assert script.load() is main
