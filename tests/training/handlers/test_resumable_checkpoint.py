from __future__ import annotations

import resource
import shutil
import threading
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.engines import Trainer

from medmamba_monai.core.errors import UserError
from medmamba_monai.training.handlers.finite_loss import TrainingDiverged
from medmamba_monai.training.handlers.resumable_checkpoint import ResumableCheckpoint, copy_to_host, find_checkpoints
from medmamba_monai.training.weights import read_description, read_state_dict
from tests.helpers.small_training import SmallTraining


class Stopped(Exception):
    pass


def stop_after(training: SmallTraining, epoch: int) -> None:
    """End the process's work like a crash that comes right after the checkpoint of an epoch."""

    def crash(engine):
        raise Stopped

    training.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=epoch), crash)
    with pytest.raises(Stopped):
        training.run()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


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
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("epoch", [1, 2])
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


def test_the_last_two_checkpoints_remain(tmp_path):
    SmallTraining(tmp_path, epochs=4).run()
    names = [path.name for path in find_checkpoints(tmp_path / "checkpoints")]
    assert names == ["checkpoint_epoch=0003.pt", "checkpoint_epoch=0004.pt"]


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


def test_not_resuming_starts_afresh_and_removes_the_old_checkpoints(tmp_path):
    SmallTraining(tmp_path, epochs=3).run()
    fresh = SmallTraining(tmp_path, epochs=1, resume=False)
    fresh.run()
    assert [path.name for path in find_checkpoints(tmp_path / "checkpoints")] == ["checkpoint_epoch=0001.pt"]


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


def test_without_any_validation_the_last_weights_are_kept(tmp_path, caplog):
    weights = SmallTraining(tmp_path, epochs=2, val_interval=3).run()
    assert same(torch.load(tmp_path / "model.pt", weights_only=True), weights)
    assert "no validation ran" in caplog.text


def test_an_empty_checkpoint_falls_back_too(stopped, train_straight, caplog):
    find_checkpoints(stopped / "checkpoints")[-1].write_bytes(b"")
    assert same(SmallTraining(stopped).run(), train_straight())


def test_checkpoint_is_read_without_pickled_objects(tmp_path):
    SmallTraining(tmp_path, epochs=1, settings={"depths": [1, 1], "seed": 0}).run()
    path: Path = find_checkpoints(tmp_path / "checkpoints")[0]
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == 1
    assert content["settings"] == {"depths": [1, 1], "seed": 0}


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


def test_weights_that_are_not_finite_in_the_first_epoch_leave_no_checkpoint_and_say_so(tmp_path):
    with pytest.raises(TrainingDiverged, match="No epoch was finished, so there is no checkpoint yet"):
        SmallTraining(tmp_path, handlers=(Spoil(1),)).run()


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


def test_a_copy_shares_no_memory_and_keeps_what_a_state_dict_says_of_itself():
    state = {"network": torch.nn.BatchNorm1d(2).state_dict(), "steps": [torch.ones(1), (2, "x")]}
    copied = copy_to_host(state)
    state["network"]["weight"].fill_(7)
    state["steps"][0].fill_(7)
    assert copied["network"]["weight"].tolist() == [1, 1]
    assert copied["network"]._metadata == state["network"]._metadata
    assert copied["steps"] == [torch.ones(1), (2, "x")]
