"""Randomness that depends on (seed, fold, epoch) alone, so that a resumed epoch repeats itself exactly."""

from __future__ import annotations

import hashlib
import random

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd


def derive_seed(seed: int, fold: int, epoch: int, rank: int = 0) -> int:
    """A 32-bit seed from its four sources, unrelated for neighboring values.

    Args:
        seed: the user's seed.
        fold: number of the fold, from 0.
        epoch: number of the epoch, from 1; 0 stands for before the training.
        rank: process of a distributed training.

    Returns:
        A whole number in [0, 2**32).
    """
    digest = hashlib.sha256(f"{seed}/{fold}/{epoch}/{rank}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def seed_everything(seed: int, fold: int = 0, epoch: int = 0, rank: int = 0) -> int:
    """Seed Python, NumPy and torch (all devices) from (seed, fold, epoch, rank); returns the derived seed."""
    derived = derive_seed(seed, fold, epoch, rank)
    random.seed(derived)
    np.random.seed(derived)
    torch.manual_seed(derived)
    return derived


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
        """Reseed for the epoch that starts."""
        derived = seed_everything(self.seed, self.fold, engine.state.epoch, idist.get_rank())
        dataset = getattr(getattr(engine, "data_loader", None), "dataset", None)
        transform = getattr(dataset, "transform", None)
        if transform is not None:
            set_rnd(transform, derived)
