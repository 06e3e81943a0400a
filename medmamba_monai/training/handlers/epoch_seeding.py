"""Random numbers that begin anew with each epoch, so that a resumed epoch repeats itself exactly."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

from medmamba_monai.training.seeding import derive_seed, seed_everything


class EpochSeeding:
    """Reseed every generator and every random transform at the start of each epoch.

    Restoring weights and optimizer alone does not repeat an epoch: shuffling, drop path and random transforms go on
    from wherever their generators stood. Attach it to the trainer before all other handlers.

    Args:
        seed: the user's seed.
        fold: number of the fold, so that folds do not share their random numbers.
    """

    def __init__(self, seed: int, fold: int = 0) -> None:
        self.seed = seed
        self.fold = fold

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer whose ``data_loader`` holds the dataset to reseed."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Reseed for the epoch that starts.

        What transforms of batches draw is the same for all processes of a distributed training: it belongs to images.
        """
        derived = seed_everything(self.seed, self.fold, engine.state.epoch, idist.get_rank())
        dataset: Any = getattr(getattr(engine, "data_loader", None), "dataset", None)
        if hasattr(dataset, "reseed"):
            dataset.reseed(derive_seed(self.seed, self.fold, engine.state.epoch))
        transform = getattr(dataset, "transform", None)
        if transform is not None:
            set_rnd(transform, derived)
