from __future__ import annotations

import random
from itertools import product

import numpy as np
import torch

from medmamba_monai.training.seeding import derive_seed, seed_everything


def test_neighboring_seeds_folds_and_epochs_differ():
    seeds = {derive_seed(*sources) for sources in product(range(5), range(5), range(10), range(2))}
    assert len(seeds) == 5 * 5 * 10 * 2


def test_the_derived_seed_is_the_same_everywhere():
    """The first four bytes of what ``printf 0/0/1/0 | sha256sum`` prints."""
    assert derive_seed(0, 0, 1) == derive_seed(0, 0, 1, rank=0) == 0xFE5F7332


def test_every_generator_repeats_itself():
    def draw():
        seed_everything(3, 1, 7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()
