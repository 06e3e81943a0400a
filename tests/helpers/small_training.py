"""A complete training that takes a second: MONAI's engines, a small MedMamba, our handlers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd, Compose, RandFlipd, RandGaussianNoised

from medmamba_monai import MedMamba
from medmamba_monai.training import (
    EarlyStop,
    EpochScore,
    EpochSeeding,
    FiniteLoss,
    GivenWeights,
    PreciseBatchNorm,
    ResumableCheckpoint,
    seed_everything,
)
from tests.helpers.threads import compute_with_one_thread


def items(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Images (1, 16, 16) of two classes: a brighter half, plus noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = [index % 2 for index in range(count)]
    images = torch.randn(count, 1, 16, 16, generator=generator)
    for image, label in zip(images, labels, strict=True):
        image[:, :8] += 0.7 * label
    return [
        {"id": f"image-{n}", "image": image, "label": label}
        for n, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


class SmallTraining:
    """Everything a fold's training consists of, in one place for the tests to change and look at."""

    def __init__(
        self,
        directory: Path,
        epochs: int = 3,
        num_workers: int = 0,
        resume: bool = True,
        patience: int = 0,
        settings: dict[str, Any] | None = None,
        handlers: tuple[Any, ...] = (),
        data: list[dict[str, Any]] | None = None,
        learning_rate: float = 1e-3,
        val_interval: int = 1,
        handlers_first: tuple[Any, ...] = (),
        precise_batch_norm: bool = False,
    ) -> None:
        seed_everything(0)
        self.network = MedMamba(
            2, 1, 2, depths=(1, 1), channels=(8, 16), patch_size=2, state_size=4, drop_path_rate=0.3
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        augment = Compose([RandFlipd("image", prob=0.5, spatial_axis=1), RandGaussianNoised("image", prob=0.5)])
        self.dataset = CacheDataset(data or items(24), augment, progress=False)
        self.evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(items(12, seed=1), batch_size=8, num_workers=num_workers),
            network=self.network,
            inferer=SimpleInferer(),
            postprocessing=Activationsd("pred", softmax=True),
            key_val_metric={"val_auc": EpochScore("auc")},
        )
        self.early_stop = EarlyStop(patience, "val_auc", self.evaluator)
        given_weights = GivenWeights(self.network)
        self.checkpoint = ResumableCheckpoint(
            directory / "checkpoints",
            directory / "model.pt",
            {"network": self.network, "optimizer": self.optimizer},
            self.evaluator,
            early_stop=self.early_stop,
            settings=settings,
            resume=resume,
            given_weights=given_weights,
        )
        self.trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=DataLoader(self.dataset, batch_size=8, shuffle=True, num_workers=num_workers),
            network=self.network,
            optimizer=self.optimizer,
            loss_function=torch.nn.CrossEntropyLoss(),
            inferer=SimpleInferer(),
            decollate=False,
            train_handlers=[
                given_weights,
                *handlers_first,
                EpochSeeding(seed=0, fold=1),
                FiniteLoss(),
                *([PreciseBatchNorm(self.network, val_interval)] if precise_batch_norm else []),
                ValidationHandler(val_interval, self.evaluator),
                self.early_stop,
                *handlers,
                self.checkpoint,
            ],
        )
        self.losses: list[float] = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._keep_loss)

    def _keep_loss(self, engine: Any) -> None:
        self.losses.append(engine.state.output["loss"].item())

    def run(self) -> dict[str, torch.Tensor]:
        """Train, with one thread since there is too little to do for more, and return the weights."""
        with compute_with_one_thread():
            self.trainer.run()
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}


class Stopped(Exception):
    """What a crash of a test raises."""


def stop_after(training: SmallTraining, epoch: int) -> None:
    """End the process's work like a crash that comes right after the checkpoint of an epoch."""

    def crash(engine):
        raise Stopped

    training.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=epoch), crash)
    with pytest.raises(Stopped):
        training.run()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Return whether two states have the same tensors, bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
