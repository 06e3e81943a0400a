from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine
from monai.optimizers import WarmupCosineSchedule
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.training import IterationSchedule, parameter_groups

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


def test_every_parameter_of_any_network_is_in_one_group():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False))
    decaying, constant = parameter_groups(network, 0.05)
    assert decaying["params"] == [network[0].weight, network[2].weight]
    assert constant["params"] == [network[0].bias, network[1].weight, network[1].bias]
    assert (decaying["weight_decay"], constant["weight_decay"]) == (0.05, 0.0)


def test_a_network_that_knows_better_is_asked():
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    constant = [names[id(parameter)] for parameter in parameter_groups(network, 0.05)[1]["params"]]
    assert any(name.endswith("A_log") for name in constant)


@pytest.mark.parametrize("weight_decay", [-0.1, "much", float("nan")])
def test_a_decay_that_is_none(weight_decay):
    with pytest.raises(UserError, match="give a number from 0"):
        parameter_groups(nn.Linear(1, 1), weight_decay)
