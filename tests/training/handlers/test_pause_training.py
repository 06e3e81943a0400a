from __future__ import annotations

import pytest
import torch

from medmamba_monai.training import PauseTraining
from tests.helpers.small_training import SmallTraining


def pausing(directory, after, epochs=3, **options):
    """A training that pauses; the handler comes after the checkpoint, as in ``train.json``."""
    training = SmallTraining(directory, epochs=epochs, **options)
    training.pause = PauseTraining(after, training.early_stop)
    training.pause.attach(training.trainer)
    return training


def test_a_training_that_paused_ends_with_the_weights_of_one_that_did_not(tmp_path):
    straight = SmallTraining(tmp_path / "straight").run()
    for after in (1, 2):
        training = pausing(tmp_path / "paused", after)
        training.run()
        assert training.trainer.state.epoch == after
    weights = pausing(tmp_path / "paused", None).run()
    assert weights.keys() == straight.keys()
    assert all(torch.equal(weights[name], straight[name]) for name in weights)


@pytest.mark.parametrize(("after", "trained"), [(1, 0), (2, 0), (3, 1)])
def test_a_training_beyond_its_pause_trains_no_further_epoch(tmp_path, after, trained):
    pausing(tmp_path, 2).run()
    again = pausing(tmp_path, after)
    again.run()
    assert len(again.losses) == 3 * trained
    assert again.trainer.state.epoch == 2 + trained


def test_only_a_training_with_epochs_left_pauses(tmp_path, caplog):
    caplog.set_level("INFO", logger="medmamba_monai.training")
    ended, paused = pausing(tmp_path / "ended", 1, epochs=1), pausing(tmp_path / "paused", 1, epochs=2)
    ended.run()
    assert "paused" not in caplog.text
    assert not ended.pause.paused
    paused.run()
    assert paused.pause.paused
    assert "paused after epoch 1 of 2" in caplog.text


def test_a_training_whose_patience_is_spent_has_ended(tmp_path):
    training = pausing(tmp_path, 1, epochs=3, patience=1)
    pause = PauseTraining(1, training.early_stop)
    training.run()
    assert pause.is_reached(training.trainer)
    training.early_stop.load_state_dict({**training.early_stop.state_dict(), "counter": 1})
    assert not pause.is_reached(training.trainer)
