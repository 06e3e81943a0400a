"""Statistics of batch norms as a validation finds them, in trainings of a moment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import PrepareBatchExtraInput, SupervisedTrainer
from monai.networks.layers import DropPath
from torch import Tensor, nn

from medmamba_monai.training import Execution, PreciseBatchNorm, WeightAverage
from tests.helpers.small_training import SmallTraining, same, stop_after
from tests.helpers.warm_commands import run_processes

COUNTED = ("running_mean", "running_var", "num_batches_tracked")


def make_batches(sizes: tuple[int, ...] = (8, 8, 4), spatial_dims: int = 2, seed: int = 0) -> list[dict[str, Tensor]]:
    """Batches of two channels, each brighter than the one before."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, *spatial_dims * (8,))
    return [
        {"image": torch.randn(size, *shape, generator=generator) + number, "label": torch.arange(size) % 2}
        for number, size in enumerate(sizes)
    ]


def make_network(*first: nn.Module, spatial_dims: int = 2) -> nn.Sequential:
    norm = nn.BatchNorm2d(2) if spatial_dims == 2 else nn.BatchNorm3d(2)
    return nn.Sequential(*first, norm, nn.Flatten(), nn.LazyLinear(2))


def make_trainer(network: nn.Module, batches: list[dict[str, Tensor]], *handlers: Any, **more: Any) -> Any:
    more = {"max_epochs": 1, **more}
    network(*[batches[0][key] for key in ("image", *(["records"] if "records" in batches[0] else []))])
    return SupervisedTrainer(
        device=torch.device("cpu"),
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.CrossEntropyLoss(),
        decollate=False,
        train_handlers=list(handlers),
        **more,
    )


def find_norm(network: nn.Module) -> Any:
    return next(part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))


def count(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of images (B, C, *spatial)."""
    values = images.movedim(1, 0).flatten(1)
    return values.mean(1), values.var(1, correction=0)


def check_statistics(norm: Any, images: Tensor) -> None:
    mean, variance = count(images)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=5e-3, atol=0)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_statistics_are_those_of_all_kept_images_together(spatial_dims):
    network, batches = make_network(spatial_dims=spatial_dims), make_batches(spatial_dims=spatial_dims)
    make_trainer(network, batches, PreciseBatchNorm(network)).run()
    check_statistics(network[0], torch.cat([batch["image"] for batch in batches]))


def test_no_more_batches_are_kept_than_are_needed():
    network, batches = make_network(), make_batches(sizes=(8, 8, 8, 4))
    handler = PreciseBatchNorm(network, num_images=12)
    longest = []
    trainer = make_trainer(network, batches, handler)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: longest.append(len(handler._kept)))
    trainer.run()
    check_statistics(network[0], torch.cat([batch["image"] for batch in batches[2:]]))
    assert longest == [1, 2, 2, 2]
    assert not handler._kept


@pytest.mark.parametrize("dropped", [nn.Dropout(0.5), DropPath(0.5)])
def test_what_is_dropped_in_training_is_there(dropped):
    network, batches = make_network(dropped), make_batches()
    make_trainer(network, batches, PreciseBatchNorm(network)).run()
    check_statistics(network[1], torch.cat([batch["image"] for batch in batches]))


def test_statistics_are_of_the_weights_at_the_end_of_the_epoch():
    network, batches = make_network(nn.Conv2d(2, 2, 3)), make_batches()
    make_trainer(network, batches, PreciseBatchNorm(network)).run()
    with torch.no_grad():
        check_statistics(network[1], network[0](torch.cat([batch["image"] for batch in batches])))


def test_a_second_norm_sees_what_the_first_makes_of_a_batch():
    network, batches = make_network(nn.BatchNorm2d(2, affine=False)), make_batches()
    make_trainer(network, batches, PreciseBatchNorm(network)).run()
    torch.testing.assert_close(network[1].running_mean, torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(network[1].running_var, torch.ones(2), atol=5e-3, rtol=0)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_all_but_the_statistics_is_put_back(momentum):
    network, batches = make_network(nn.Dropout()), make_batches()
    network[1].momentum = momentum
    seen: list[Any] = []

    def look(engine: Any) -> None:
        modes = [part.training for part in network.modules()]
        seen.append((modes, network[1].momentum, int(network[1].num_batches_tracked), torch.get_rng_state().tolist()))

    trainer = make_trainer(network, batches)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    PreciseBatchNorm(network).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    trainer.run()
    assert seen[0] == seen[1]
    assert seen[0][1:3] == (momentum, 4)  # of which one was when the trainer was made


def test_a_batch_that_fails_leaves_the_modes_as_they_were():
    network, batches = make_network(nn.Identity()), make_batches()
    trainer = make_trainer(network, batches, PreciseBatchNorm(network))

    def fail(part: nn.Module, inputs: Any) -> None:
        raise RuntimeError("out of memory")

    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=3), lambda engine: network[0].register_forward_pre_hook(fail)
    )
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.run()
    assert all(part.training for part in network.modules())
    assert network[1].momentum == 0.1


@pytest.mark.parametrize(("interval", "epochs", "expected"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5])])
def test_epochs_that_are_validated_and_the_last_get_statistics(interval, epochs, expected):
    network, batches = make_network(), make_batches()
    mean, _ = count(torch.cat([batch["image"] for batch in batches]))
    found = []

    def look(engine: Any) -> None:
        if torch.allclose(network[0].running_mean, mean, atol=1e-5):
            found.append(engine.state.epoch)
        network[0].running_mean.zero_()

    trainer = make_trainer(network, batches, PreciseBatchNorm(network, interval), max_epochs=epochs)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    trainer.run()
    assert found == expected


def test_a_network_without_batch_norm_is_left_alone():
    network = nn.Sequential(nn.InstanceNorm2d(2, track_running_stats=True), nn.Flatten(), nn.LazyLinear(2))
    trainer = make_trainer(network, make_batches())
    before = trainer.prepare_batch
    PreciseBatchNorm(network).attach(trainer)
    assert trainer.prepare_batch is before


def test_an_averaged_network_gets_statistics_of_its_own():
    network, batches = make_network(nn.Conv2d(2, 2, 3)), make_batches()
    trainer = make_trainer(network, batches, max_epochs=2)
    average = WeightAverage(network)
    average.attach(trainer)
    average.ema_model.eval()
    PreciseBatchNorm(average.ema_model).attach(trainer)
    trainer.run()
    assert not any(part.training for part in average.ema_model.modules())
    images = torch.cat([batch["image"] for batch in batches])
    with torch.no_grad():
        check_statistics(average.ema_model[1], average.ema_model[0](images))
        assert not torch.allclose(network[1].running_mean, count(network[0](images))[0], rtol=1e-2)


class WithRecords(nn.Module):
    """A network of images and of a further input."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network()

    def forward(self, images: Tensor, records: Tensor) -> Tensor:
        logits: Tensor = self.network(images + records[:, None, None, None])
        return logits


def test_further_inputs_of_the_network_are_kept_too():
    network, batches = WithRecords(), make_batches()
    for batch in batches:
        batch["records"] = torch.arange(len(batch["label"])) * 1.0
    prepare = PrepareBatchExtraInput(extra_keys=["records"])
    make_trainer(network, batches, PreciseBatchNorm(network), prepare_batch=prepare).run()
    check_statistics(
        find_norm(network), torch.cat([batch["image"] + batch["records"][:, None, None, None] for batch in batches])
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_a_config_switches_it_on(enabled):
    network, usual = make_network(), make_network()
    usual.load_state_dict(network.state_dict())
    for one, handlers in ((network, [PreciseBatchNorm(network, enabled=enabled)]), (usual, [])):
        torch.manual_seed(0)
        make_trainer(one, make_batches(), *handlers).run()
    assert same(network.state_dict(), usual.state_dict()) is not enabled


def test_statistics_are_computed_in_the_precision_of_the_training():
    network, seen = make_network(nn.Conv2d(2, 2, 3)), []
    trainer = make_trainer(network, make_batches(), PreciseBatchNorm(network, 1, Execution(precision="bfloat16")))
    network[1].register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0].dtype))
    trainer.run()
    assert seen == [torch.float32] * 3 + [torch.bfloat16] * 3
    assert network[1].running_mean.dtype == torch.float32


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folder and weights of a training with precise statistics that nothing interrupts."""
    folder = tmp_path_factory.mktemp("precise")
    return folder, SmallTraining(folder, precise_batch_norm=True).run()


def test_the_same_weights_are_learnt_with_it_and_without(tmp_path, precise):
    _, with_it = precise
    without = SmallTraining(tmp_path).run()
    learnt = [name for name in without if not name.endswith(COUNTED)]
    assert same({name: with_it[name] for name in learnt}, {name: without[name] for name in learnt})
    means = [name for name in without if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(with_it[name], without[name]) for name in means)


def test_a_training_that_was_stopped_goes_on_bit_for_bit(tmp_path, precise):
    folder, straight = precise
    stop_after(SmallTraining(tmp_path, precise_batch_norm=True), 1)
    assert same(SmallTraining(tmp_path, precise_batch_norm=True).run(), straight)
    best = [torch.load(place / "model.pt", weights_only=True) for place in (tmp_path, folder)]
    assert same(*best)


def test_what_is_validated_is_what_is_saved(tmp_path):
    """The statistics of the best weights are those that the validation had, not those of a moment before or after."""
    training = SmallTraining(tmp_path, epochs=1, precise_batch_norm=True)
    validated: dict[str, Tensor] = {}

    def keep(engine: Any) -> None:
        validated.update({name: tensor.clone() for name, tensor in training.network.state_dict().items()})

    training.evaluator.add_event_handler(Events.COMPLETED, keep)
    training.run()
    assert same(torch.load(tmp_path / "model.pt", weights_only=True), validated)


def test_all_processes_have_the_statistics_of_the_images_of_all(tmp_path):
    run_processes(_count_together, f"file://{tmp_path}/rendezvous", str(tmp_path), number=2)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert same(*found)
    norm = nn.BatchNorm2d(2)
    norm.load_state_dict(found[0])
    check_statistics(norm, torch.cat([batch["image"] for rank in (0, 1) for batch in _batches_of(rank)]))


def _batches_of(rank: int) -> list[dict[str, Tensor]]:
    return make_batches((8, 4) if rank == 0 else (4, 8), seed=rank)


def _count_together(rank: int, rendezvous: str, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    torch.manual_seed(0)
    network = make_network()
    make_trainer(network, _batches_of(rank), PreciseBatchNorm(network)).run()
    statistics = {name: value for name, value in network[0].state_dict().items() if name in COUNTED}
    affine = {"weight": torch.ones(2), "bias": torch.zeros(2)}
    torch.save({**affine, **statistics}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
