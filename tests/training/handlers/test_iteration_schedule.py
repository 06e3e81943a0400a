from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine
from monai.optimizers import WarmupCosineSchedule
from torch import nn

from medmamba_monai.training import IterationSchedule

TOTAL, WARM_UP = 40, 4


def rates(iterations: int) -> list[float]:
    """The learning rate of each step of a training."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupCosineSchedule(optimizer, WARM_UP, TOTAL, warmup_multiplier=0.01)
    used: list[float] = []

    def step(engine: Engine, batch: int) -> None:
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()

    trainer = Engine(step)
    IterationSchedule(schedule).attach(trainer)
    trainer.run(range(iterations // 4), max_epochs=4)
    return used


@pytest.mark.filterwarnings("error")
def test_the_rate_rises_linearly_and_falls_as_a_cosine_to_nearly_zero():
    warm_up = [2 * (0.01 + 0.99 * step / WARM_UP) for step in range(WARM_UP)]
    cosine = [1 + math.cos(math.pi * step / (TOTAL - WARM_UP)) for step in range(TOTAL - WARM_UP)]
    assert rates(TOTAL) == pytest.approx(warm_up + cosine)
    assert 0 < rates(TOTAL)[-1] < 0.01
