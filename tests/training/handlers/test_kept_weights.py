"""Which weights are kept as the best: validated, finite, and made again where their file is gone."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from ignite.engine import Events
from monai.engines import Trainer

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.handlers.finite_loss import TrainingDiverged
from medmamba_monai.training.handlers.resumable_checkpoint import ResumableCheckpoint, find_checkpoints
from medmamba_monai.training.weights import read_description, read_state_dict
from tests.helpers.small_training import SmallTraining, same


class Spoil:
    """Makes a weight NaN after the validation."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def attach(self, engine: Trainer) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=self.epoch), self)

    def __call__(self, engine: Trainer) -> None:
        engine.network.head.bias.data[0] = float("nan")


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"head\.bias holds NaN or infinity after epoch 2"):
        SmallTraining(tmp_path, handlers=(Spoil(2),)).run()
    assert [path.name for path in find_checkpoints(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]


def test_weights_that_are_not_finite_in_the_first_epoch_leave_no_checkpoint_and_say_so(tmp_path):
    with pytest.raises(TrainingDiverged, match="No epoch was finished, so there is no checkpoint yet"):
        SmallTraining(tmp_path, handlers=(Spoil(1),)).run()


def test_without_any_validation_the_last_weights_are_kept(tmp_path, caplog):
    weights = SmallTraining(tmp_path, epochs=2, val_interval=3).run()
    assert same(torch.load(tmp_path / "model.pt", weights_only=True), weights)
    assert "no validation ran" in caplog.text


def test_the_validated_network_is_what_is_kept_and_the_trained_one_goes_on(tmp_path):
    training = SmallTraining(tmp_path / "own", epochs=1)
    average = deepcopy(training.network)
    with torch.no_grad():
        for weight in average.parameters():
            weight.fill_(0.25)
    stateful = {"network": training.network}
    best = tmp_path / "model.pt"
    kept = ResumableCheckpoint(tmp_path / "kept", best, stateful, training.evaluator, validated=average)
    kept.attach(training.trainer)
    trained = training.run()
    assert same(torch.load(best, weights_only=True), average.state_dict())
    (path,) = find_checkpoints(tmp_path / "kept")
    assert same(torch.load(path, weights_only=True)["stateful"]["network"], trained)


def test_the_best_weights_are_made_again_where_their_file_is_gone(tmp_path, caplog):
    SmallTraining(tmp_path, epochs=1).run()
    best, safe = tmp_path / "model.pt", tmp_path / "model.safetensors"
    weights, described = torch.load(best, weights_only=True), read_description(safe)
    for gone in ([best], [safe], [best, safe]):
        for path in gone:
            path.unlink()
        SmallTraining(tmp_path, epochs=1).run()
        assert same(torch.load(best, weights_only=True), weights)
        assert same(read_state_dict(safe), weights)
        assert read_description(safe) == described
    assert "was made again from checkpoint_epoch=0001.pt" in caplog.text
    best.unlink()
    safe.unlink()
    path = find_checkpoints(tmp_path / "checkpoints")[0]
    path.rename(path.with_name("checkpoint_epoch=0002.pt"))
    with pytest.raises(UserError, match=r"model\.pt is gone, and no checkpoint holds .* best epoch, 1"):
        SmallTraining(tmp_path, epochs=1).run()
