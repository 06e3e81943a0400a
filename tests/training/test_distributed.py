from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import monai.bundle
import pytest
import torch
from safetensors import safe_open
from sklearn.metrics import log_loss, roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.training import find_local_device, start_distributed
from tests.helpers.small_bundle import SmallBundle, run_distributed

UNEVEN = {"validate#dataset#data": "$@parts['validation'][:19]"}


@pytest.fixture(scope="module")
def trained(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One epoch by two processes that validate 10 and 9 images; its folder and its journal."""
    folder = tmp_path_factory.mktemp("distributed")
    options = {"epochs": 1, "tracking_uri": None, "ckpt_dir": str(folder / "models"), **UNEVEN}
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


def test_without_torchrun_the_error_gives_the_command(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="torchrun --standalone --nproc_per_node=N"):
        start_distributed()


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for the device where there is no GPU; here is one")
def test_without_gpus_each_process_computes_on_the_cpu():
    assert find_local_device() == torch.device("cpu")
