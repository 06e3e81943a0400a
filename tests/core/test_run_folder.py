"""The names of a run's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medmamba_monai.core.run_folder import RunFolder

NAMES = {
    "lock": ".lock",
    "lease": ".lease",
    "journal": "tracking.jsonl",
    "mlflow_state": "mlflow.json",
    "sending_lock": ".mlflow.lock",
    "figures": "figures",
    "report": "report.html",
    "weights": "model.pt",
    "safetensors": "model.safetensors",
    "predictions": "predictions.csv",
    "image_files": "files.csv",
    "metrics": "metrics.json",
    "job": "job.json",
    "gpu_memory": "gpu_memory.json",
    "cluster_job": "cluster_job.json",
    "exit_code": "exit_code.json",
    "log": "log.txt",
    "executed_config": "executed_config.json",
    "training": "training.json",
    "result": "result.json",
    "settings": "settings.json",
    "choices": "choices.json",
    "description": "description.json",
    "summary": "summary.json",
    "summary_text": "summary.md",
    "review": "review.json",
    "review_table": "review.csv",
    "explanations": "explanations",
    "attention": "attention",
    "robustness": "robustness.json",
    "robustness_report": "robustness.html",
    "federation": "federation.json",
    "joined": "joined.json",
    "checkpoints": "checkpoints",
    "progress": "progress.safetensors",
    "begun_rounds": "rounds.json",
    "comparison": "comparison.json",
    "comparison_text": "comparison.md",
}
"""Folders of earlier versions hold these names, and must stay readable."""


@pytest.mark.parametrize(("attribute", "name"), NAMES.items())
def test_names_on_disk_stay(attribute: str, name: str) -> None:
    assert getattr(RunFolder("run"), attribute) == Path("run") / name


def test_every_property_is_a_name_that_is_held() -> None:
    properties = {name for name, value in vars(RunFolder).items() if isinstance(value, property)}
    assert properties == NAMES.keys()


def test_folds_and_tables() -> None:
    folder = RunFolder(Path("run"))
    assert folder.fold(3).predictions == Path("run/fold_3/predictions.csv")
    assert folder.summary_table("classes") == Path("run/summary_classes.csv")
    assert folder.corrupted_predictions("none", 0) == Path("run/robustness/none_0.json")
    assert folder.job_logs("slurm") == Path("run/slurm")
    assert folder.combined_predictions("pooled") == Path("run/pooled_predictions.csv")


def test_a_folder_is_a_path_and_equals_itself() -> None:
    assert os.fspath(RunFolder("run")) == "run"
    assert Path(RunFolder("run")) == Path("run")
    assert len({RunFolder("run"), RunFolder(Path("run"))}) == 1


def test_folds_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("fold_10", "fold_2", "fold_x", "fold_2_old"):
        (tmp_path / name).mkdir()
    assert RunFolder(tmp_path).find_folds() == [2, 10]
    assert RunFolder(tmp_path / "nowhere").find_folds() == []


def test_nothing_is_made_on_disk(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert [getattr(folder, name) for name in NAMES]
    assert folder.fold(1).log.parent.name == "fold_1"
    assert not list(tmp_path.iterdir())
