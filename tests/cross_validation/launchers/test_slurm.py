"""Folds as jobs of a real Slurm, disturbed in mid-training: at the end the weights are those of an undisturbed run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation import CrossValidationOptions
from medmamba_monai.cross_validation.launchers import tag_machines
from medmamba_monai.cross_validation.launchers.fold_task import FoldTask
from medmamba_monai.cross_validation.launchers.slurm import Slurm, SlurmOptions
from medmamba_monai.cross_validation.launchers.watch import read_exit_code, read_job_name
from medmamba_monai.cross_validation.make_jobs import make_cluster_jobs
from medmamba_monai.cross_validation.plan import Plan, make_plan
from tests.helpers.cluster_runs import (
    check_same_weights,
    has_trained,
    list_statuses,
    read_printed,
    wait_for,
)
from tests.helpers.slurm import of_a_cluster, run_slurm
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with run_slurm(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


def job_of(folder: Path, fold: int) -> str:
    name = read_job_name(RunFolder(folder / "output").fold(fold))
    assert name is not None
    return name


def tell_slurm(cluster: dict[str, str], *words: str, check: bool = True) -> None:
    subprocess.run(words, env=cluster, check=check)


def hurry(cluster: dict[str, str], job: str) -> None:
    """Let a job that was queued again begin now, for which Slurm else waits two minutes."""
    tell_slurm(cluster, "scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.mark.long
@of_a_cluster
@pytest.mark.timeout(900)
def test_requeued_cancelled_and_left_alone_the_folds_come_to_the_same(
    small_bundle: SmallBundle, cross_validated: Path, cluster: dict[str, str], tmp_path: Path
) -> None:
    command = small_bundle.command(
        "cross_validation", ["cross_validation"], tmp_path, launcher="slurm", slurm_cpus=1, tracking_uri=""
    )

    def begin() -> Running:
        return start(command, tmp_path, **cluster)

    first = begin()
    ways = {0: ("scontrol", "requeue"), 1: ("scancel",)}
    while ways:  # each fold as soon as it has trained: while one is waited for, the other would end
        wait_for(lambda: any(has_trained(tmp_path, fold) for fold in ways), tmp_path, first)
        fold = next(fold for fold in ways if has_trained(tmp_path, fold))
        tell_slurm(cluster, *ways.pop(fold), job_of(tmp_path, fold))
    requeued = job_of(tmp_path, 0)
    wait_for(lambda: "fold 1 did not finish (stopped)" in read_printed(tmp_path), tmp_path, first)
    wait_for(lambda: f"fold 0: job {requeued} is pending" in read_printed(tmp_path), tmp_path, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    hurry(cluster, requeued)

    second = begin()
    assert second.wait() == 0, read_printed(tmp_path)
    assert f"fold 0: its job {requeued} is in the queue already" in read_printed(tmp_path)
    for fold in (0, 1):
        assert list_statuses(tmp_path, fold) == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
    check_same_weights(tmp_path, cross_validated)


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


def plan_for(small_bundle: SmallBundle, slurm_gpus: int, **training: Any) -> Plan:
    options = CrossValidationOptions(**DEFAULTS, launcher="slurm", slurm_gpus=slurm_gpus)
    places = {"dataset_dir": str(small_bundle.dataset_dir), "data_list": str(small_bundle.data_list)}
    return make_plan(small_bundle.root, options, {**places, "tracking_uri": "", **training})


@pytest.mark.parametrize("gpu_here", [False, True])
def test_no_device_of_this_machine_decides_the_precision_of_jobs(
    small_bundle: SmallBundle, monkeypatch: pytest.MonkeyPatch, gpu_here: bool
) -> None:
    """A login node may have no GPU, or one that the nodes have not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_here)
    for amp, meant in (("float16", "float16"), (True, "float16"), ("bfloat16", "bfloat16"), ("False", False)):
        plan = plan_for(small_bundle, 1, amp=amp)
        assert plan.training.amp == meant
        (job,) = make_cluster_jobs(plan, [0], 1, {})
        assert (job.content["overrides"]["amp"], job.content["overrides"]["device"]) == (meant, "cuda")
    assert plan_for(small_bundle, 0).training.amp is False
    with pytest.raises(UserError, match="--device cuda: the jobs of Slurm have no GPU; add --slurm_gpus 1"):
        plan_for(small_bundle, 0, device="cuda")


def test_a_run_says_that_its_folds_were_jobs_and_not_what_the_login_node_is(tmp_path: Path) -> None:
    for gpus, each in ((0, "no GPU"), (1, "1 GPU"), (2, "2 GPUs")):
        slurm = Slurm(RunFolder(tmp_path), SlurmOptions(gpus=gpus))
        assert tag_machines(slurm) == {"device": f"jobs of Slurm, {each} each"}


def test_what_does_not_fit_is_said_before_anything_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = CrossValidationOptions(**DEFAULTS, launcher="slurm", slurm_gpus=1)
    with pytest.raises(UserError, match="--slurm_gpus 1: which precision is auto depends on the GPU"):
        make_plan(ROOT / "bundles" / "phantom", options, {})
    with pytest.raises(UserError, match="--launcher 'pbs': give local or slurm or ray"):
        CrossValidationOptions(**DEFAULTS, launcher="pbs")
    with pytest.raises(UserError, match="--probe knn: is fitted in one process; leave out --launcher slurm"):
        CrossValidationOptions(**{**DEFAULTS, "probe": "knn"}, launcher="slurm")
    (tmp_path / "srun").write_text("#!/bin/sh\n")  # submitit looks for it
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    misspelt = Slurm(RunFolder(tmp_path), SlurmOptions(parameters={"acount": "lab"}))
    with pytest.raises(
        UserError, match=r"^--slurm_parameters .*: Unavailable parameter.*acount.*known are account, .*$"
    ):
        misspelt.submit([])
    with pytest.raises(UserError, match="this machine has no squeue; run it on a login node"):
        Slurm(RunFolder(tmp_path), SlurmOptions()).list_jobs()
