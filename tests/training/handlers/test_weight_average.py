from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from medmamba_monai.training import WeightAverage


class Network(nn.Module):
    """A weight and a statistic that a training changes, and a count as BatchNorm has one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.register_buffer("statistic", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))


def averaged(values: np.ndarray, eta: float) -> Network:
    network = Network()

    def step(engine: Engine, value: float) -> None:
        network.weight.data.fill_(value)
        network.statistic.fill_(-value)
        network.count += 1

    trainer = Engine(step)
    average = WeightAverage(network, eta)
    average.attach(trainer)
    trainer.run(values.tolist(), max_epochs=1)
    return average.ema_model


def test_with_eta_0_it_is_the_mean_of_all_iterations():
    values = np.random.default_rng(0).normal(size=30)
    assert averaged(values, 0).weight.item() == pytest.approx(values.mean(), abs=1e-12)


def test_weights_count_as_the_published_recursion_says():
    values = np.random.default_rng(0).normal(size=30)
    expected = 0.0
    for t, value in enumerate(values, 1):
        expected = (1 - 10 / (9 + t)) * expected + 10 / (9 + t) * value
    found = averaged(values, 9)
    assert found.weight.item() == pytest.approx(expected, abs=1e-12)
    assert found.statistic.item() == pytest.approx(-expected, abs=1e-12)
    assert found.count.item() == 30


@pytest.mark.parametrize("iterations", [60, 600])
def test_the_average_reaches_over_the_last_tenth_of_any_training(iterations):
    """Of weights that grow by one each iteration, the average lags behind by a tenth of them, less at the start."""
    lag = iterations - averaged(np.arange(1.0, iterations + 1), 9).weight.item()
    assert lag == pytest.approx(iterations / 11, rel=0.02)
