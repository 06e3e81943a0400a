from __future__ import annotations

import pytest
import torch

from medmamba_monai.training import TrainingDiverged
from medmamba_monai.training.handlers.resumable_checkpoint import find_checkpoints
from tests.helpers.small_training import SmallTraining, items


def test_nan_loss_names_the_batch_and_keeps_the_last_checkpoint(tmp_path):
    SmallTraining(tmp_path, epochs=1).run()
    data = items(24)
    data[5]["image"][0, 3, 3] = float("nan")
    training = SmallTraining(tmp_path, epochs=2, data=data)
    with pytest.raises(
        TrainingDiverged, match=r"loss is nan in epoch 2, batch [1-3] \(samples .*image-5.*last good checkpoint is kept"
    ):
        training.run()
    assert [path.name for path in find_checkpoints(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]


def test_nan_loss_stops_before_the_optimizer_step(tmp_path):
    data = items(24)
    for item in data:
        item["image"][:] = float("inf")
    training = SmallTraining(tmp_path, data=data)
    before = {name: parameter.clone() for name, parameter in training.network.named_parameters()}
    with pytest.raises(TrainingDiverged, match="No epoch was finished, so there is no checkpoint yet"):
        training.run()
    assert all(torch.equal(before[name], parameter) for name, parameter in training.network.named_parameters())
