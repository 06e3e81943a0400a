from __future__ import annotations

import csv
import json
import re
import signal
from types import SimpleNamespace

import monai.bundle
import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from sklearn.metrics import log_loss, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.training import find_local_device, has_begun, start_distributed
from tests.helpers.small_bundle import SmallBundle, run_distributed, start, start_ranks, wait_until

UNEVEN = {"validate#dataset#data": "$@parts['validation'][:19]"}


@pytest.fixture(scope="module")
def trained(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One epoch by two processes that validate 10 and 9 images, with precise statistics; its folder and its journal."""
    folder = tmp_path_factory.mktemp("distributed")
    options = {
        "epochs": 1,
        "precise_batch_norm": True,
        "tracking_uri": None,
        "ckpt_dir": str(folder / "models"),
        **UNEVEN,
    }
    command = small_bundle.command("training", ["train", "multi_gpu_train"], folder, **options)
    codes, printed = run_distributed(command, folder, number=2, MLFLOW_TRACKING_URI="")
    assert codes == [0, 0], printed
    return SimpleNamespace(folder=folder, printed=printed, journal=read_lines(folder / "output" / "tracking.jsonl"))


@pytest.mark.slow
def test_only_the_first_process_prints_and_logs(trained):
    assert trained.printed.count("epoch 1/1") == 1
    assert [line["op"] for line in trained.journal].count("start") == 1
    assert [line["status"] for line in trained.journal if line["op"] == "status"] == ["RUNNING", "FINISHED"]


@pytest.mark.slow
def test_weights_are_saved_without_the_wrapper(trained):
    with safe_open(trained.folder / "models" / "model.safetensors", framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("module.")]  # noqa: SIM118
        assert json.loads(file.metadata()["medmamba_monai"])["epoch"] == 1


@pytest.mark.slow
def test_validation_is_that_of_all_images_with_the_weights_that_are_saved(trained, small_bundle, own_process):
    """It would not be, were the parts of the processes lost or their BatchNorm statistics different."""
    options = small_bundle.options(trained.folder, ckpt_dir=str(trained.folder / "models"), tracking_uri="")
    configs = [small_bundle.config("train"), small_bundle.config("evaluate")]
    monai.bundle.run("evaluating", config_file=configs, **options)
    with (trained.folder / "output" / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "validation"][:19]
    labels, scores = [int(row["label"]) for row in rows], [float(row["probability_1"]) for row in rows]
    logged = next(line["values"] for line in trained.journal if line["op"] == "metrics" and line["step"] == 1)
    assert logged["validation/loss"] == pytest.approx(log_loss(labels, scores), abs=1e-6)
    assert logged["validation/auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def list_trained_epochs(folder):
    journal = folder / "output" / "tracking.jsonl"
    lines = read_lines(journal) if journal.is_file() else []
    return [line["step"] for line in lines if line["op"] == "metrics" and line["step"]]


@pytest.mark.long
def test_a_killed_process_costs_no_more_than_an_epoch(small_bundle, tmp_path):
    """One of two is killed in mid-training, and torchrun starts both again."""
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max-restarts=1"]
    for folder in (alone, disturbed):
        folder.mkdir()
    options = {"epochs": 3, "tracking_uri": "", "resume": False}

    def command(folder):
        places = {**options, "ckpt_dir": str(folder / "models")}
        return small_bundle.command("training", ["train", "multi_gpu_train"], folder, **places)

    codes, printed = run_distributed(command(alone), alone, number=2)
    assert codes == [0, 0], printed
    python, *arguments = command(disturbed)
    fresh_store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    running = start([python, *arguments[:2], *torchrun, *arguments[2:]], disturbed, **fresh_store)
    wait_until(lambda: bool(list_trained_epochs(disturbed)), running)
    ranks = sorted(psutil.Process(running.pid).children(), key=lambda process: process.pid)
    ranks[1].kill()
    assert running.wait() == 0, (disturbed / "output.txt").read_text()
    journal = read_lines(disturbed / "output" / "tracking.jsonl")
    assert [line["status"] for line in journal if line["op"] == "status"][-2:] == ["RUNNING", "FINISHED"]
    assert sorted(set(list_trained_epochs(disturbed))) == [1, 2, 3]
    weights, expected = (load_file(folder / "models" / "model.safetensors") for folder in (disturbed, alone))
    assert all((weights[name] == expected[name]).all() for name in expected)


@pytest.mark.long
def test_who_waits_for_a_process_that_stands_still_gives_up(small_bundle, tmp_path):
    options = {"epochs": 50, "tracking_uri": "", "timeout_minutes": 0.05}
    command = small_bundle.command("training", ["train", "multi_gpu_train"], tmp_path, **options)
    waiting, still = start_ranks(command, tmp_path, number=2)
    wait_until(lambda: bool(list_trained_epochs(tmp_path)), waiting)
    still.send_signal(signal.SIGSTOP)
    try:
        assert waiting.wait(timeout=60) != 0
        assert re.search("timed? ?out", (tmp_path / "output.txt").read_text(), re.IGNORECASE)
    finally:
        still.send_signal(signal.SIGKILL)
        still.wait()


def test_restarts_that_would_look_for_the_dead_are_refused(monkeypatch):
    for name, value in (
        ("LOCAL_RANK", "0"),
        ("TORCHELASTIC_MAX_RESTARTS", "3"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"--max-restarts=3: .* set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        start_distributed(timeout_minutes=1)


def test_what_torchrun_started_again_goes_on(monkeypatch):
    assert not has_begun(resume=False)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert has_begun(resume=False)


def test_without_torchrun_the_error_gives_the_command(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="torchrun --standalone --nproc_per_node=N"):
        start_distributed(timeout_minutes=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for the device where there is no GPU; here is one")
def test_without_gpus_each_process_computes_on_the_cpu():
    assert find_local_device() == torch.device("cpu")
