from __future__ import annotations

import pytest
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.training import group_parameters


def test_every_parameter_of_any_network_is_in_one_group():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False))
    decaying, constant = group_parameters(network, 0.05)
    assert decaying["params"] == [network[0].weight, network[2].weight]
    assert constant["params"] == [network[0].bias, network[1].weight, network[1].bias]
    assert (decaying["weight_decay"], constant["weight_decay"]) == (0.05, 0.0)


def test_a_network_that_knows_better_is_asked():
    network = MedMamba(2, 3, 2, depths=(1, 1), channels=(8, 16))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    constant = [names[id(parameter)] for parameter in group_parameters(network, 0.05)[1]["params"]]
    assert any(name.endswith("A_log") for name in constant)


@pytest.mark.parametrize("weight_decay", [-0.1, "much", float("nan")])
def test_a_decay_that_is_none(weight_decay):
    with pytest.raises(UserError, match="give a number from 0"):
        group_parameters(nn.Linear(1, 1), weight_decay)
