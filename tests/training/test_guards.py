from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.guards import TrainingDiverged, check_options, resolve_device
from medmamba_monai.training.handlers.checkpoint import checkpoint_files
from tests.helpers.small_training import SmallTraining, items


def test_nan_loss_names_the_batch_and_keeps_the_last_checkpoint(tmp_path):
    SmallTraining(tmp_path, epochs=1).run()
    data = items(24)
    data[5]["image"][0, 3, 3] = float("nan")
    training = SmallTraining(tmp_path, epochs=2, data=data)
    with pytest.raises(TrainingDiverged, match=r"loss is nan in epoch 2, batch [1-3] \(samples .*image-5"):
        training.run()
    assert [path.name for path in checkpoint_files(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]


def test_nan_loss_stops_before_the_optimizer_step(tmp_path):
    data = items(24)
    for item in data:
        item["image"][:] = float("inf")
    training = SmallTraining(tmp_path, data=data)
    before = {name: parameter.clone() for name, parameter in training.network.named_parameters()}
    with pytest.raises(TrainingDiverged):
        training.run()
    assert all(torch.equal(before[name], parameter) for name, parameter in training.network.named_parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is none; here is one")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", torch.device("cuda", 3)])
def test_a_gpu_that_is_not_there_is_a_clear_error(device):
    with pytest.raises(UserError, match="sees 0 CUDA devices"):
        resolve_device(device)


def test_a_device_that_does_not_exist_is_a_clear_error():
    with pytest.raises(UserError, match="'gpu' is not a device; use auto, cpu"):
        resolve_device("gpu")


def test_mixed_precision_without_a_gpu_is_a_clear_error():
    with pytest.raises(UserError, match="--amp True needs a GPU"):
        resolve_device("cpu", amp=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", True), ("patience", -1), ("learning_rate", -1e-3), ("learning_rate", float("nan"))],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=f"--{name} {value!r}: give a"):
        check_options({name: value})


def test_numbers_in_range_and_what_is_no_number_pass():
    check_options({"epochs": 1, "patience": 0, "learning_rate": 0.001, "cache": 1, "run_name": "first"})


def test_auto_is_the_cpu_without_a_gpu():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected
