"""Folded batch norms: the same logits from fewer layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.networks import fold_batch_norm
from tests.helpers.scan_inputs import relative_error


def trained_network(spatial_dims: int) -> MedMamba:
    """Make a network whose batch norms have statistics and weights that matter."""
    torch.manual_seed(0)
    network = MedMamba(spatial_dims, 1, 3, depths=(1, 2), channels=(8, 16))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                for tensor in (module.running_mean, module.bias):
                    tensor.normal_()
                for tensor in (module.running_var, module.weight):
                    tensor.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_logits_are_the_same(spatial_dims: int) -> None:
    network, images = trained_network(spatial_dims), torch.randn(2, 1, *[16] * spatial_dims)
    folded = fold_batch_norm(network)
    assert relative_error(folded(images), network.eval()(images)) < 1e-5


def test_only_the_norm_before_the_first_convolution_is_left() -> None:
    left = [
        name for name, module in fold_batch_norm(trained_network(2)).named_modules() if type(module) is nn.BatchNorm2d
    ]
    assert len(left) == 3
    assert all(name.endswith("conv_branch.norm1") for name in left)


def test_the_network_itself_stays_in_training_with_its_state() -> None:
    network = trained_network(2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norm(network)
    assert network.training
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())


def test_it_can_be_exported() -> None:
    folded, images = fold_batch_norm(trained_network(2)), torch.randn(1, 1, 16, 16)
    program = torch.export.export(folded, (images,))
    torch.testing.assert_close(program.module()(images), folded(images))
