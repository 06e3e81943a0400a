from __future__ import annotations

from pathlib import Path

import pytest
from ignite.engine import Events

from medmamba_monai.training import EarlyStop
from tests.helpers.small_training import SmallTraining


def with_scores(directory: Path, scores: list[float], patience: int, **options: object) -> SmallTraining:
    """A training whose validation AUC is given, epoch by epoch, before the handler of early stopping sees it."""
    training = SmallTraining(directory, epochs=len(scores), patience=0, **options)
    stop = EarlyStop(patience, "val_auc", training.evaluator)
    training.early_stop = training.checkpoint.early_stop = stop

    def give(engine):
        engine.state.metrics["val_auc"] = scores[engine.state.epoch - 1]

    training.evaluator.add_event_handler(Events.EPOCH_COMPLETED, give)
    stop.attach(training.trainer)
    return training


@pytest.mark.parametrize(
    ("scores", "patience", "last"),
    [
        ([0.5, 0.6, 0.6, 0.6, 0.9], 2, 4),
        ([0.5, 0.4, 0.6, 0.5, 0.7], 2, 5),
        ([0.5, 0.4, 0.6, 0.5, 0.7], 1, 2),
        ([0.9, 0.1, 0.1, 0.1, 0.1], 0, 5),
    ],
)
def test_it_stops_after_as_many_epochs_without_improvement(tmp_path, scores, patience, last):
    training = with_scores(tmp_path, scores, patience)
    training.run()
    assert training.trainer.state.epoch == last


def test_it_says_why_the_training_ended(tmp_path, caplog):
    caplog.set_level("INFO", logger="medmamba_monai.training")
    with_scores(tmp_path, [0.5, 0.4, 0.3, 0.2], 2).run()
    assert "val_auc has not improved for 2 validations" in caplog.text


def test_the_counter_survives_a_restart(tmp_path):
    scores = [0.9, 0.5, 0.5, 0.5, 0.5]
    with_scores(tmp_path, scores[:2], 3).run()
    again = with_scores(tmp_path, scores, 3)
    again.run()
    assert again.trainer.state.epoch == 4


def test_the_state_holds_plain_values(tmp_path):
    training = with_scores(tmp_path, [0.9, 0.5], 3)
    training.run()
    state = training.early_stop.state_dict()
    assert state["counter"] == 1
    assert state["best_score"] == pytest.approx(0.9)


def test_no_state_before_it_is_attached(tmp_path):
    with pytest.raises(RuntimeError, match="attach EarlyStop"):
        EarlyStop(3, "val_auc", SmallTraining(tmp_path).evaluator).state_dict()
