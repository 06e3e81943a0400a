"""A trainer that runs again and again, with weights that it is given in between, as a client of federated learning."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from monai.engines import Trainer

from tests.helpers.small_training import SmallTraining, same, stop_after


def give(training: SmallTraining, shift: float) -> None:
    """Set the trainer's weights from outside, as a client of federated learning does."""
    state = training.network.state_dict()
    training.network.load_state_dict({**state, "head.bias": state["head.bias"] + shift})


def run_rounds(training: SmallTraining, rounds: int) -> dict[str, torch.Tensor]:
    """Give weights and train one epoch, again and again."""
    weights = {}
    for _ in range(rounds):
        give(training, 5.0)
        training.trainer.state.max_epochs = training.trainer.state.epoch + 1
        weights = training.run()
    return weights


def test_a_trainer_that_runs_again_keeps_the_weights_that_it_was_given(tmp_path):
    training = SmallTraining(tmp_path, epochs=1)
    first = training.run()["head.bias"]
    assert torch.allclose(run_rounds(training, 1)["head.bias"], first + 5, atol=0.1)
    assert training.trainer.state.epoch == 2


@pytest.mark.parametrize("shift", [5.0, 0.0])
def test_a_client_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path, shift):
    """Weights come from the server, optimizer and epoch from the checkpoint; also where they are equal to its own."""
    straight = SmallTraining(tmp_path / "straight", epochs=1)
    straight.run()
    SmallTraining(tmp_path / "killed", epochs=1).run()
    again = SmallTraining(tmp_path / "killed", epochs=1)
    again.network.load_state_dict(SmallTraining(tmp_path / "other").network.state_dict())
    straight.network.load_state_dict(again.network.state_dict())
    give(again, shift)
    give(straight, shift)
    straight.trainer.state.max_epochs = 2
    assert same(again.run(), straight.run())
    assert again.trainer.state.epoch == 2


def test_weights_that_a_handler_loads_at_the_start_are_not_given(tmp_path):
    """A fine-tuning loads its first weights whenever it starts, and resumes all the same."""

    class Load:
        def attach(self, engine: Trainer) -> None:
            engine.add_event_handler(Events.STARTED, lambda engine: engine.network.head.bias.data.fill_(9.0))

    straight = SmallTraining(tmp_path / "straight", handlers_first=(Load(),)).run()
    stop_after(SmallTraining(tmp_path / "resumed", handlers_first=(Load(),)), 1)
    assert same(SmallTraining(tmp_path / "resumed", handlers_first=(Load(),)).run(), straight)


def test_a_finished_trainer_that_is_run_once_more_trains_nothing(tmp_path):
    training = SmallTraining(tmp_path, epochs=2)
    weights, losses = training.run(), len(training.losses)
    assert same(training.run(), weights)
    assert len(training.losses) == losses


def test_the_patience_begins_anew_with_each_round(tmp_path):
    training = SmallTraining(tmp_path, epochs=1, patience=1)
    training.run()
    training.early_stop.load_state_dict({**training.early_stop.state_dict(), "counter": 1})
    assert training.early_stop.exhausted
    run_rounds(training, 1)
    assert training.trainer.state.epoch == 2
    assert not training.early_stop.exhausted
