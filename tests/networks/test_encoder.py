"""MedMamba as an encoder of MONAI's FlexibleUNet: its contract, weights, and a network that learns to segment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from monai.data import MetaTensor
from monai.networks.nets import FlexibleUNet
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import (
    MedMamba,
    MedMambaEncoder,
    encoder,
    load_encoder_weights,
    medmamba_base,
    medmamba_small,
    medmamba_tiny,
    register_encoder,
    to_official_state_dict,
)
from medmamba_monai.networks.monai import register_with_monai

SMALL: dict[str, Any] = {"depths": (1, 2), "channels": (8, 16)}
NAMES = ["medmamba_tiny", "medmamba_small", "medmamba_base"]


@pytest.fixture
def small_backbone(monkeypatch: pytest.MonkeyPatch) -> str:
    """A backbone of two stages, registered for one test."""
    monkeypatch.setattr(FLEXUNET_BACKBONE, "register_dict", dict(FLEXUNET_BACKBONE.register_dict))
    register_encoder("small", **SMALL)
    return "small"


def small_unet(spatial_dims: int = 2, in_channels: int = 3) -> FlexibleUNet:
    return FlexibleUNet(in_channels, 2, "small", decoder_channels=(16, 8, 8), spatial_dims=spatial_dims)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_registered_backbones_segment_images_and_volumes(name: str, spatial_dims: int) -> None:
    with torch.device("meta"):
        net = FlexibleUNet(in_channels=3, out_channels=2, backbone=name, pretrained=False, spatial_dims=spatial_dims)
        x = torch.zeros(1, 3, *[64] * spatial_dims)
    maps = net.encoder(x)
    told = FLEXUNET_BACKBONE.register_dict[name]
    assert (len(maps), [found.shape[1] for found in maps]) == (told["feature_number"], list(told["feature_channel"]))
    assert [tuple(found.shape[2:]) for found in maps] == [(size,) * spatial_dims for size in (32, 16, 8, 4, 2)]
    assert net(x).shape == (1, 2, *x.shape[2:])


@pytest.mark.parametrize("build", [medmamba_tiny, medmamba_small, medmamba_base])
def test_an_encoder_is_the_classifier_of_its_name_without_the_head(build: Any) -> None:
    with torch.device("meta"):
        expected = {key: value.shape for key, value in build(num_classes=0).state_dict().items()}
        arguments = FLEXUNET_BACKBONE.register_dict[build.__name__]["parameter"]
        found = MedMambaEncoder(**{**arguments, "spatial_dims": 2, "in_channels": 3}).network.state_dict()
    assert {key: value.shape for key, value in found.items()} == expected


@pytest.mark.usefixtures("small_backbone")
@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (31, 29), (16, 24, 19)])
def test_maps_halve_whatever_the_size(shape: tuple[int, ...]) -> None:
    net = small_unet(len(shape)).eval()
    x = torch.randn(1, 3, *shape)
    for steps, found in enumerate(net.encoder(x), 1):
        assert tuple(found.shape[2:]) == tuple(size // 2**steps for size in shape)
    assert net(x).shape[2:] == tuple(size // 2 * 2 for size in shape)


@pytest.mark.usefixtures("small_backbone")
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_every_parameter_gets_a_gradient(spatial_dims: int) -> None:
    net = small_unet(spatial_dims)
    net(torch.randn(2, 3, *[32] * spatial_dims)).square().sum().backward()
    assert [key for key, parameter in net.named_parameters() if parameter.grad is None] == []


def test_activation_and_norm_reach_both_parts() -> None:
    net = MedMambaEncoder(2, 1, act="gelu", norm=("group", {"num_groups": 2}), **SMALL)
    kinds = {type(module) for module in net.modules()}
    assert {nn.GELU, nn.GroupNorm} <= kinds
    assert kinds.isdisjoint({nn.ReLU, nn.BatchNorm2d})


def test_a_metatensor_gives_plain_maps() -> None:
    maps = MedMambaEncoder(2, 1, **SMALL)(MetaTensor(torch.randn(1, 1, 32, 32)))
    assert {type(found) for found in maps} == {torch.Tensor}


def test_registering_again_changes_nothing_and_leaves_others_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: FLEXUNET_BACKBONE.register_dict[name] for name in NAMES}
    register_with_monai()
    assert all(FLEXUNET_BACKBONE.register_dict[name] is before[name] for name in NAMES)
    upstream: dict[str, Any] = {"medmamba_tiny": object()}
    monkeypatch.setattr(FLEXUNET_BACKBONE, "register_dict", upstream)
    register_with_monai()
    assert list(upstream) == ["medmamba_tiny"]


def test_pretrained_says_how_weights_get_in() -> None:
    with pytest.raises(UserError, match=r"no weights to download.*load_encoder_weights"):
        FlexibleUNet(3, 2, "medmamba_tiny", pretrained=True)


def test_a_fifth_stage_is_refused() -> None:
    with pytest.raises(UserError, match="4 stages at most"):
        MedMambaEncoder(depths=(1,) * 5, channels=(2,) * 5)


@pytest.fixture
def classifier() -> MedMamba:
    return MedMamba(2, 3, 5, **SMALL)


@pytest.mark.usefixtures("small_backbone")
@pytest.mark.parametrize("form", ["state dict", "net.pt", "net.safetensors", "official", "no head"])
def test_weights_of_a_classifier_load_without_its_head(classifier: MedMamba, form: str, tmp_path: Path) -> None:
    source: Any = classifier.state_dict()
    if form == "official":
        source = to_official_state_dict(classifier)
    elif form == "no head":
        classifier.reset_classifier(0)
        source = classifier.state_dict()
    elif form != "state dict":
        (safetensors.torch.save_file if form.endswith("safetensors") else torch.save)(source, tmp_path / form)
        source = tmp_path / form
    net, x = small_unet().eval(), torch.randn(1, 3, 32, 32)
    load_encoder_weights(net, source)
    expected = classifier.eval().stage_features(x)
    assert all(map(torch.equal, net.encoder(x)[1:], expected))


@pytest.mark.parametrize(
    "other", [{"channels": (8, 24)}, {"depths": (2, 2)}, {"spatial_dims": 3}, {"in_channels": 1}, {"state_size": 4}]
)
def test_weights_of_another_size_are_refused_and_nothing_is_loaded(other: dict[str, Any]) -> None:
    net = MedMambaEncoder(2, 3, **SMALL)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    weights = MedMamba(**{"spatial_dims": 2, "in_channels": 3, "num_classes": 2, **SMALL, **other}).state_dict()
    with pytest.raises(UserError, match="of another size than the encoder"):
        load_encoder_weights(net, weights)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())


def test_a_network_without_such_an_encoder_is_refused(classifier: MedMamba) -> None:
    with pytest.raises(UserError, match="MedMamba has no MedMambaEncoder"):
        load_encoder_weights(classifier, classifier.state_dict())


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MedMamba weights \(.*missing.pt\)"):
        load_encoder_weights(MedMambaEncoder(2, 3, **SMALL), tmp_path / "missing.pt")
    with pytest.raises(UserError, match=r"MedMamba weights \(state dict\).*it is missing"):
        load_encoder_weights(MedMambaEncoder(2, 3, **SMALL), nn.Linear(2, 2).state_dict())


def test_docstring_examples() -> None:
    import doctest

    assert doctest.testmod(encoder).attempted > 0
    assert doctest.testmod(encoder).failed == 0
