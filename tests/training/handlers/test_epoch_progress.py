from __future__ import annotations

import re

import pytest

from medmamba_monai.training import EpochProgress
from medmamba_monai.training.handlers.epoch_progress import format_seconds
from tests.helpers.small_training import SmallTraining


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-3, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_durations_read_well(seconds, text):
    assert format_seconds(seconds) == text


def train(directory, **options) -> None:
    training = SmallTraining(directory, epochs=2)
    EpochProgress("fold 2", training.evaluator, **options).attach(training.trainer)
    training.run()


def test_a_line_after_each_epoch_says_how_long_it_still_takes(tmp_path, capsys):
    train(tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"fold 2, epoch 1/2: .*val auc \d\.\d{4}  \[\d+ s\]  \d+ s left", first)
    assert second.endswith("0 s left")


def test_the_trainings_that_follow_are_counted(tmp_path, capsys):
    train(tmp_path, trainings_after=4)
    assert re.search(r"left: \d+ s here, about .+ in all", capsys.readouterr().out)


def test_long_epochs_say_where_they_are(tmp_path, capsys):
    train(tmp_path, interval=0.0)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "batch 1 of 3, epoch ends in" in line]
    assert len(lines) == 2 * (3 + 1)
