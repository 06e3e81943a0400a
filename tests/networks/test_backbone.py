"""MedMamba as a backbone: the protocol that users of timm and MONAI expect."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.networks.blocks import Swish
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import MedMamba, fold_batch_norm, medmamba_base, medmamba_small, medmamba_tiny
from medmamba_monai.networks.blocks import SSConvSSM

SMALL: dict[str, Any] = {"depths": (1, 2, 1), "channels": (8, 16, 24)}


def small_net(spatial_dims: int = 2, num_classes: int = 4, **options: Any) -> MedMamba:
    return MedMamba(spatial_dims, 3, num_classes, **{**SMALL, **options}).eval()


@pytest.mark.parametrize("build", [MedMamba, medmamba_tiny, medmamba_small, medmamba_base])
def test_the_order_of_arguments_is_monais_everywhere(build: Any) -> None:
    parameters = inspect.signature(build).parameters
    assert {name: parameters[name].default for name in list(parameters)[:3]} == {
        "spatial_dims": 2,
        "in_channels": 3,
        "num_classes": 1000,
    }
    with torch.device("meta"):
        net = build(3, 1, 7)
    assert (net.spatial_dims, net.in_channels, net.num_classes) == (3, 1, 7)
    assert net.head.out_features == 7


def test_the_defaults_are_medmamba_tiny() -> None:
    with torch.device("meta"):
        found, expected = MedMamba().state_dict(), medmamba_tiny(2, 3, 1000).state_dict()
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}


@pytest.mark.parametrize(("spatial_dims", "shape"), [(2, (21, 33)), (3, (16, 20, 19))])
def test_stage_features_are_channel_first_with_the_told_channels_and_strides(
    spatial_dims: int, shape: tuple[int, ...]
) -> None:
    net = small_net(spatial_dims)
    maps = net.stage_features(torch.randn(2, 3, *shape))
    assert (net.stage_channels, net.stage_strides, net.num_features) == ((8, 16, 24), (4, 8, 16), 24)
    for found, channels, stride in zip(maps, net.stage_channels, net.stage_strides, strict=True):
        assert found.shape == (2, channels, *(size // stride for size in shape))


def test_the_last_stage_and_the_head_make_the_logits() -> None:
    net, x = small_net(), torch.randn(2, 3, 32, 48)
    features = net.forward_features(x)
    assert torch.equal(net.stage_features(x)[-1], features)
    assert torch.equal(net.forward_head(features), net(x))
    token = net.forward_head(features, pre_logits=True)
    torch.testing.assert_close(token, features.mean((2, 3)))
    assert torch.equal(net.head(token), net(x))


def test_features_lie_where_the_image_has_them() -> None:
    net, x = small_net(depths=(1,), channels=(8,)), torch.zeros(1, 3, 32, 64)
    x[:, :, 8:12, 40:44] = 9
    with torch.no_grad():
        tokens = net.embedding(x)
    row, column = divmod(int((tokens - tokens[..., :1, :1]).abs().sum(1).argmax()), tokens.shape[-1])
    assert (row, column) == (2, 10)
    assert net.forward_features(x).shape[2:] == tokens.shape[2:]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_without_classes_the_network_returns_the_mean_token(spatial_dims: int) -> None:
    net, x = small_net(spatial_dims, num_classes=0), torch.randn(2, 3, *[16] * spatial_dims)
    assert isinstance(net.head, nn.Identity)
    assert torch.equal(net(x), net.forward_head(net.forward_features(x), pre_logits=True))
    assert torch.jit.script(net)(x).shape == (2, 24)


def test_the_classifier_is_drawn_anew_and_nothing_else_changes() -> None:
    net = small_net().double()
    before = {key: value.clone() for key, value in net.state_dict().items() if not key.startswith("head.")}
    net.reset_classifier(9)
    assert (net.num_classes, net.head.weight.shape, net.head.weight.dtype) == (9, (9, 24), torch.float64)
    assert 0 < net.head.weight.std() < 0.04
    assert not net.head.bias.any()
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    net.reset_classifier(0)
    assert (net.num_classes, type(net.head)) == (0, nn.Identity)
    net.reset_classifier(2)
    assert net.double()(torch.randn(1, 3, 16, 16).double()).shape == (1, 2)


@pytest.mark.parametrize("number", [-1, 2.0, "3"])
def test_a_number_of_classes_that_is_none_is_refused(number: Any) -> None:
    with pytest.raises(UserError, match=f"num_classes got {number!r}"):
        small_net().reset_classifier(number)


def test_a_metatensor_gives_plain_features() -> None:
    x = MetaTensor(torch.randn(1, 3, 16, 16))
    assert {type(found) for found in [*small_net().stage_features(x), small_net().forward_features(x)]} == {Tensor}


def test_what_does_not_fit_is_refused_by_the_features_too() -> None:
    for method in (small_net().stage_features, small_net().forward_features):
        with pytest.raises(UserError, match="the smallest size of each is 16"):
            method(torch.zeros(1, 3, 8, 8))


def test_the_protocol_lives_on_in_torchscript() -> None:
    net, x = small_net(), torch.randn(1, 3, 32, 32)
    scripted = torch.jit.script(net)
    assert all(map(torch.equal, scripted.stage_features(x), net.stage_features(x)))
    features = net.forward_features(x)
    assert torch.equal(scripted.forward_features(x), features)
    assert torch.equal(scripted.forward_head(features, True), net.forward_head(features, pre_logits=True))


@pytest.mark.long
def test_stage_features_export() -> None:
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net(depths=(1, 1, 1), exportable=True)

        def forward(self, x: Tensor) -> list[Tensor]:
            return self.net.stage_features(x)

    features, x = Features().eval(), torch.randn(1, 3, 16, 32)
    torch.testing.assert_close(torch.export.export(features, (x,)).module()(x), features(x))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize(
    ("act", "norm", "kind"),
    [
        ("swish", "instance", (Swish, (nn.InstanceNorm2d, nn.InstanceNorm3d))),
        (("prelu", {"init": 0.1}), ("group", {"num_groups": 2}), (nn.PReLU, nn.GroupNorm)),
        (
            ("leakyrelu", {"negative_slope": 0.2}),
            ("batch", {"eps": 1e-3}),
            (nn.LeakyReLU, (nn.BatchNorm2d, nn.BatchNorm3d)),
        ),
    ],
)
def test_other_activations_and_norms_in_monais_manner(act: Any, norm: Any, kind: Any, spatial_dims: int) -> None:
    net = small_net(spatial_dims, act=act, norm=norm).train()
    blocks = [module for module in net.modules() if isinstance(module, SSConvSSM)]
    for block in blocks:
        assert all(isinstance(block.conv_branch.get_submodule(name), kind[0]) for name in ("act2", "act3", "act4"))
        assert all(isinstance(block.conv_branch.get_submodule(name), kind[1]) for name in ("norm1", "norm2", "norm3"))
    net(torch.randn(2, 3, *[32] * spatial_dims)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_arguments_of_the_layers_arrive() -> None:
    branch = (
        small_net(act=("leakyrelu", {"negative_slope": 0.2}), norm=("batch", {"eps": 1e-3}))
        .stages[0]
        .blocks[0]
        .conv_branch
    )
    assert (branch.act2.negative_slope, branch.norm1.eps) == (0.2, 1e-3)


def test_relu_and_batch_norm_are_what_the_paper_has() -> None:
    branch = small_net().stages[0].blocks[0].conv_branch
    assert [type(layer) for name, layer in branch.named_children() if not name.startswith("conv")] == [
        nn.BatchNorm2d,
        nn.BatchNorm2d,
        nn.ReLU,
        nn.BatchNorm2d,
        nn.ReLU,
        nn.ReLU,
    ]


@pytest.mark.parametrize("norm", ["instance", ("group", {"num_groups": 2}), ("batch", {"track_running_stats": False})])
def test_other_norms_are_not_folded_but_refused(norm: Any) -> None:
    with pytest.raises(UserError, match="only batch norms with running statistics can be folded, and this network has"):
        fold_batch_norm(small_net(norm=norm))
