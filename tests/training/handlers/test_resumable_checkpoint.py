"""A training that was stopped goes on where it was, bit for bit, also from the checkpoint before a damaged one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.handlers.resumable_checkpoint import find_checkpoints
from tests.helpers.small_training import SmallTraining, same, stop_after


@pytest.fixture(scope="module")
def train_straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, torch.Tensor]]:
    """Return the weights of a training that nothing interrupts; trained once for each number of workers."""

    @cache
    def train(num_workers: int = 0) -> dict[str, torch.Tensor]:
        return SmallTraining(tmp_path_factory.mktemp("straight"), num_workers=num_workers).run()

    return train


@pytest.fixture(scope="module")
def stopped_in_epoch_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    stop_after(SmallTraining(folder), 2)
    return folder


@pytest.fixture
def stopped(stopped_in_epoch_2: Path, tmp_path: Path) -> Path:
    """Folder of a training that ended like a crash after its second epoch, a copy."""
    return Path(shutil.copytree(stopped_in_epoch_2, tmp_path / "stopped"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch", "num_workers"),
    [(1, 2), (2, 0), pytest.param(1, 0, marks=pytest.mark.long), pytest.param(2, 2, marks=pytest.mark.long)],
)
def test_resumed_training_ends_with_bit_identical_weights(tmp_path, train_straight, num_workers, epoch):
    stop_after(SmallTraining(tmp_path, num_workers=num_workers), epoch)
    assert same(SmallTraining(tmp_path, num_workers=num_workers).run(), train_straight(num_workers))


def test_without_restoring_the_weights_differ(tmp_path, train_straight):
    stop_after(SmallTraining(tmp_path), 1)
    fresh = SmallTraining(tmp_path, epochs=2, resume=False).run()
    assert not same(fresh, train_straight())


def test_best_weights_follow_the_validation_and_survive_a_resume(tmp_path):
    stop_after(SmallTraining(tmp_path), 2)
    training = SmallTraining(tmp_path)
    training.run()
    state = training.evaluator.state
    straight = SmallTraining(tmp_path / "straight")
    straight.run()
    assert (state.best_metric, state.best_metric_epoch) == (
        straight.evaluator.state.best_metric,
        straight.evaluator.state.best_metric_epoch,
    )
    best = torch.load(tmp_path / "model.pt", weights_only=True)
    assert same(best, torch.load(tmp_path / "straight" / "model.pt", weights_only=True))


def test_a_finished_training_runs_no_further_epoch(tmp_path):
    SmallTraining(tmp_path).run()
    again = SmallTraining(tmp_path)
    again.run()
    assert again.losses == []
    assert again.trainer.state.epoch == 3


def test_more_epochs_go_on_from_the_last(tmp_path, train_straight):
    SmallTraining(tmp_path, epochs=2).run()
    longer = SmallTraining(tmp_path, epochs=3)
    assert same(longer.run(), train_straight())


def test_a_spent_patience_stays_spent(tmp_path):
    first = SmallTraining(tmp_path, epochs=30, patience=1)
    first.run()
    assert first.trainer.state.epoch < 30
    again = SmallTraining(tmp_path, epochs=30, patience=1)
    again.run()
    assert again.losses == []


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(stopped, train_straight, caplog):
    newest = find_checkpoints(stopped / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert same(SmallTraining(stopped).run(), train_straight())
    assert "cannot be read" in caplog.text


def test_only_damaged_checkpoints_are_an_error(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint_epoch=0001.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="delete them, or pass --resume False"):
        SmallTraining(tmp_path).run()


def test_other_settings_are_refused(tmp_path):
    SmallTraining(tmp_path, epochs=1, settings={"image_size": 16}).run()
    with pytest.raises(UserError, match="image_size 16, but 32 is configured"):
        SmallTraining(tmp_path, epochs=2, settings={"image_size": 32}).run()


def test_an_option_that_did_not_exist_yet_was_off(tmp_path):
    SmallTraining(tmp_path, epochs=1, settings={"image_size": 16}).run()
    SmallTraining(tmp_path, epochs=2, settings={"image_size": 16, "precise_batch_norm": False}).run()
    with pytest.raises(UserError, match="precise_batch_norm False, but True is configured"):
        SmallTraining(tmp_path, epochs=3, settings={"image_size": 16, "precise_batch_norm": True}).run()


def test_not_resuming_starts_afresh_and_removes_the_old_checkpoints(tmp_path):
    SmallTraining(tmp_path, epochs=3).run()
    fresh = SmallTraining(tmp_path, epochs=1, resume=False)
    fresh.run()
    assert [path.name for path in find_checkpoints(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]


def test_an_empty_checkpoint_falls_back_too(stopped, train_straight, caplog):
    find_checkpoints(stopped / "checkpoints")[-1].write_bytes(b"")
    assert same(SmallTraining(stopped).run(), train_straight())


def spoil_checkpoint(path: Path, how: str) -> None:
    """Damage a checkpoint as a failing disk or another program does."""
    content = torch.load(path, weights_only=True)
    if how == "bit":
        changed = bytearray(path.read_bytes())
        changed[changed.index(content["stateful"]["network"]["head.bias"].numpy().tobytes()) + 2] ^= 1
        path.write_bytes(changed)
    elif how == "list":
        torch.save([content], path)
    else:
        content["stateful"].pop("optimizer") if how == "optimizer" else content.pop(how)
        torch.save(content, path)


@pytest.mark.parametrize("how", ["bit", "list", "settings", "optimizer"])
def test_of_a_checkpoint_that_is_not_whole_the_one_before_is_used(stopped, train_straight, caplog, how):
    newest = find_checkpoints(stopped / "checkpoints")[-1]
    spoil_checkpoint(newest, how)
    assert same(SmallTraining(stopped).run(), train_straight())
    assert f"{newest} cannot be read" in caplog.text
