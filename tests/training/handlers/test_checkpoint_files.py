"""How checkpoints are written: beside the training, whole or not at all, and none too many."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.handlers.resumable_checkpoint import copy_to_host, find_checkpoints
from tests.helpers.small_training import SmallTraining, same, stop_after


class Hold:
    """Keeps a write of a training waiting until the test lets it go, as a slow disk does."""

    def __init__(self, training: SmallTraining) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.write = training.checkpoint._write
        training.checkpoint._write = self

    def __call__(self, *args) -> None:
        self.began.set()
        assert self.go.wait(30)
        self.write(*args)


def test_the_last_two_checkpoints_remain(tmp_path):
    SmallTraining(tmp_path, epochs=4).run()
    names = [path.name for path in find_checkpoints(tmp_path / "checkpoints")]
    assert names == ["checkpoint_epoch=0003.pt", "checkpoint_epoch=0004.pt"]


def test_checkpoint_is_read_without_pickled_objects(tmp_path):
    SmallTraining(tmp_path, epochs=1, settings={"depths": [1, 1], "seed": 0}).run()
    path: Path = find_checkpoints(tmp_path / "checkpoints")[0]
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == 1
    assert content["settings"] == {"depths": [1, 1], "seed": 0}


def test_the_next_epoch_trains_while_a_checkpoint_is_written_and_changes_nothing_in_it(tmp_path):
    first = SmallTraining(tmp_path / "first", epochs=1).run()
    training = SmallTraining(tmp_path, epochs=2)
    hold = Hold(training)
    in_between = []

    def release(engine):
        in_between.append((hold.began.wait(30), find_checkpoints(tmp_path / "checkpoints"), len(training.losses)))
        hold.go.set()

    training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), release)
    training.run()
    assert in_between == [(True, [], 5)]
    content = torch.load(find_checkpoints(tmp_path / "checkpoints")[0], weights_only=True)
    assert (content["epoch"], content["iteration"]) == (1, 3)
    assert same(content["stateful"]["network"], first)


def test_a_write_that_failed_ends_the_training_at_the_end_of_the_next_epoch(tmp_path):
    training = SmallTraining(tmp_path, epochs=5)
    training.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=1), lambda engine: (tmp_path / "checkpoints").write_text("no folder")
    )
    with pytest.raises(UserError, match=r"cannot write .*checkpoints"):
        training.run()
    assert training.trainer.state.epoch == 2


def test_where_a_training_fails_what_it_had_begun_to_write_is_whole(tmp_path, caplog):
    training = SmallTraining(tmp_path, epochs=2)
    hold = Hold(training)
    threading.Timer(0.2, hold.go.set).start()
    stop_after(training, 1)
    assert [path.name for path in find_checkpoints(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]
    (tmp_path / "failing").mkdir()
    training = SmallTraining(tmp_path / "failing", epochs=2)
    training.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=1), lambda engine: (tmp_path / "failing" / "checkpoints").write_text("no folder")
    )
    stop_after(training, 1)
    assert "cannot write" in caplog.text


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path):
    SmallTraining(tmp_path, epochs=1).run()
    before = find_checkpoints(tmp_path / "checkpoints")[0].read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match="Free space"):
            SmallTraining(tmp_path, epochs=2).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    files = list((tmp_path / "checkpoints").iterdir())
    assert [path.read_bytes() for path in files] == [before]


def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    left = [
        tmp_path / "checkpoints" / ".checkpoint_epoch=0007.pt.0123abcd.pt",
        tmp_path / ".model.safetensors.0123abcd.safetensors",
    ]
    for path in left:
        path.touch()
    SmallTraining(tmp_path, epochs=1).run()
    assert not any(path.exists() for path in left)


def test_a_copy_shares_no_memory_and_keeps_what_a_state_dict_says_of_itself():
    state = {"network": torch.nn.BatchNorm1d(2).state_dict(), "steps": [torch.ones(1), (2, "x")]}
    copied = copy_to_host(state)
    state["network"]["weight"].fill_(7)
    state["steps"][0].fill_(7)
    assert copied["network"]["weight"].tolist() == [1, 1]
    assert copied["network"]._metadata == state["network"]._metadata
    assert copied["steps"] == [torch.ones(1), (2, "x")]
