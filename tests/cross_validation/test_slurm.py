"""Folds as jobs of a real Slurm, disturbed in mid-training: at the end the weights are those of an undisturbed run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from safetensors.numpy import load_file

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import CrossValidationOptions
from medmamba_monai.cross_validation.plan import make_plan
from medmamba_monai.cross_validation.slurm import list_jobs, read_exit_code
from medmamba_monai.cross_validation.slurm_fold import FoldTask
from medmamba_monai.tracking.journal_file import read_lines
from tests.helpers.slurm import run_slurm, why_none_runs
from tests.helpers.small_bundle import ROOT, Running, SmallBundle, start

DEFAULTS: dict[str, Any] = {
    "run_name": "slurm",
    "output_dir": "output",
    "folds": None,
    "jobs": "auto",
    "recipe": "paper",
    "config_files": ["configs/train.json"],
    "evaluate_files": ["configs/evaluate.json"],
    "overrides": {},
    "bootstrap_resamples": 100,
    "bootstrap_seed": 0,
    "report_images": None,
}
PATIENCE = 240
of_a_cluster = pytest.mark.skipif(bool(why_none_runs()), reason=str(why_none_runs()))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with run_slurm(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


def wait_for(what: Callable[[], object], folder: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < ends, (folder / "output.txt").read_text()
        time.sleep(0.05)


def has_trained(folder: Path, fold: int) -> bool:
    """Whether a fold has logged its first epoch."""
    journal = RunFolder(folder / "output").fold(fold).journal
    return journal.is_file() and any(line["op"] == "metrics" for line in read_lines(journal))


def job_of(folder: Path, fold: int) -> str:
    return str(json.loads(RunFolder(folder / "output").slurm_jobs.read_text())[str(fold)])


@of_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_requeued_cancelled_and_left_alone_the_folds_come_to_the_same(
    small_bundle: SmallBundle, cross_validated: Path, cluster: dict[str, str], tmp_path: Path
) -> None:
    command = small_bundle.command(
        "cross_validation", ["cross_validation"], tmp_path, launcher="slurm", slurm_cpus=1, tracking_uri=""
    )

    def begin() -> Running:
        return start(command, tmp_path, **cluster)

    def printed() -> str:
        return (tmp_path / "output.txt").read_text()

    first = begin()
    wait_for(lambda: has_trained(tmp_path, 0) or has_trained(tmp_path, 1), tmp_path)
    requeued, cancelled = job_of(tmp_path, 0), job_of(tmp_path, 1)
    wait_for(lambda: has_trained(tmp_path, 0), tmp_path)
    subprocess.run(["scontrol", "requeue", requeued], env=cluster, check=True)
    wait_for(lambda: has_trained(tmp_path, 1), tmp_path)
    subprocess.run(["scancel", cancelled], env=cluster, check=True)
    wait_for(lambda: "fold 1 did not finish (stopped)" in printed(), tmp_path)
    wait_for(lambda: f"fold 0: job {requeued} is pending" in printed(), tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait()
    # else Slurm waits for two minutes
    subprocess.run(["scontrol", "update", f"JobId={requeued}", "StartTime=now"], env=cluster, check=True)

    second = begin()
    assert second.wait() == 0, printed()
    assert f"fold 0: its job {requeued} is in the queue already" in printed()
    for fold in (0, 1):
        ours, undisturbed = (
            RunFolder(folder).fold(fold) for folder in (tmp_path / "output", cross_validated / "output")
        )
        assert _status(ours) == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
        weights, expected = load_file(ours.safetensors), load_file(undisturbed.safetensors)
        assert all((weights[name] == expected[name]).all() for name in expected)


def test_a_fold_leaves_its_exit_code_and_goes_on_when_it_was_requeued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of Python a script that ends with the code that is written in the job."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\ngrep -q \'"resume": true\' "$3" && exit 0\nexit 7\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    folder = RunFolder(tmp_path)
    folder.job.write_text(json.dumps({"overrides": {"resume": False}}))
    assert FoldTask()(str(folder.job)) == 7
    assert read_exit_code(folder, "") == 7
    assert read_exit_code(folder, "7_0") is None
    for name, value in (("ARRAY_JOB_ID", "7"), ("ARRAY_TASK_ID", "0"), ("RESTART_COUNT", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert FoldTask()(str(folder.job)) == 0
    assert read_exit_code(folder, "7_0") == 0


def test_after_a_preemption_the_same_is_started_again() -> None:
    again = cloudpickle.loads(cloudpickle.dumps(FoldTask().checkpoint("job.json")))
    assert isinstance(again.function, FoldTask)
    assert again.args == ("job.json",)


def test_what_does_not_fit_is_said_before_anything_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = CrossValidationOptions(**DEFAULTS, launcher="slurm", slurm_gpus=1)
    with pytest.raises(UserError, match="--slurm_gpus 1: which precision is auto depends on the GPU"):
        make_plan(ROOT / "bundles" / "phantom", options, {})
    with pytest.raises(UserError, match="--launcher 'pbs': give local or slurm"):
        CrossValidationOptions(**DEFAULTS, launcher="pbs")
    with pytest.raises(UserError, match="--probe knn: is fitted in one process; leave out --launcher slurm"):
        CrossValidationOptions(**{**DEFAULTS, "probe": "knn"}, launcher="slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="this machine has no squeue; run it on a login node"):
        list_jobs()


def _status(folder: RunFolder) -> list[str]:
    return [line["status"] for line in read_lines(folder.journal) if line["op"] == "status"]
