"""Randomness that depends on (seed, fold, epoch) alone, so that a resumed epoch repeats itself exactly."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def derive_seed(seed: int, fold: int, epoch: int, rank: int = 0) -> int:
    """Return a 32-bit seed from its four sources, unrelated for neighboring values.

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
    """Seed Python, NumPy and torch (all devices) from (seed, fold, epoch, rank), and return the derived seed."""
    derived = derive_seed(seed, fold, epoch, rank)
    random.seed(derived)
    np.random.seed(derived)
    torch.manual_seed(derived)
    return derived
