from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from torch import nn
from torch.nn import functional

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import baselines
from medmamba_monai.networks.baselines import BASELINES, Classifier, build_baseline

# Of torchvision's documentation, for 1000 classes; MedViT's are those of its official code. MONAI's ViT gives its class
# token no position (768 numbers).
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "densenet121": 7_978_856,
    "vit_b16": 86_567_656 - 768,
    "swin_t": 28_288_354,
    "convnext_b": 88_591_464,
    "medvit_t": 32_161_440,
    "medvit_s": 45_430_972,
    "medvit_l": 58_700_504,
}
WITHOUT_DROP_PATH = [name for name, baseline in BASELINES.items() if not baseline.drop_path]
IN_3D = [name for name, baseline in BASELINES.items() if 3 in baseline.spatial_dims]


def smallest(name: str) -> int:
    return BASELINES[name].smallest_size


def skip_where_missing(name: str) -> None:
    if BASELINES[name].package is not None:
        pytest.importorskip(BASELINES[name].package)


def build(name: str, size: int = 0, dims: int = 2, in_channels: int = 3, num_classes: int = 2, **options: Any) -> Any:
    """Build without numbers in the parameters, which takes no time."""
    skip_where_missing(name)
    with torch.device("meta"):
        return build_baseline(name, dims, in_channels, num_classes, size or smallest(name), **options)


def test_every_network_has_a_published_number_of_parameters() -> None:
    assert PUBLISHED.keys() == BASELINES.keys()


@pytest.mark.parametrize("name", BASELINES)
def test_the_number_of_parameters_is_the_published_one(name: str) -> None:
    network = build(name, 224, num_classes=1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", BASELINES)
def test_gray_images_become_logits(name: str) -> None:
    size = smallest(name)
    network = build(name, in_channels=1, num_classes=5).eval()
    logits = network(torch.zeros(2, 1, size, size, device="meta"))
    assert (type(logits), logits.shape) == (torch.Tensor, (2, 5))


@pytest.mark.parametrize("name", IN_3D)
def test_volumes_become_logits(name: str) -> None:
    size = max(smallest(name), 32)
    network = build(name, size, dims=3, in_channels=1).eval()
    assert network(torch.zeros(2, 1, size, size, size, device="meta")).shape == (2, 2)


@pytest.mark.parametrize("name", ["densenet121", "swin_t", "convnext_b", "medvit_t"])
def test_no_smaller_image_would_do(name: str) -> None:
    size = smallest(name) - 1
    network = build(name).eval().network
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, size, size, device="meta"))
    with pytest.raises(UserError, match=rf"{name}.*{size + 1} pixels or more.*{size}"):
        build(name, size)


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_small_networks_train_every_parameter_and_repeat(name: str) -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(build_baseline(name, 2, 1, 3, 32))
    assert all(map(torch.equal, networks[0].parameters(), networks[1].parameters()))
    loss = functional.cross_entropy(networks[0](torch.randn(4, 1, 32, 32)), torch.arange(4) % 3)
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in networks[0].parameters())


LARGEST = {"medvit_s", "medvit_l"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LARGEST else []) for name in BASELINES]
)
def test_color_images_become_logits_and_every_parameter_has_a_gradient(name: str) -> None:
    size = max(smallest(name), 64)
    network = build(name, size)
    logits = network(torch.zeros(2, 3, size, size, device="meta"))
    assert (type(logits), logits.shape) == (torch.Tensor, (2, 2))
    logits.sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_same_seed_draws_the_same_swin() -> None:
    skip_where_missing("swin_t")
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(build_baseline("swin_t", 2, 1, 3, 224).state_dict())
    assert all(map(torch.equal, drawn[0].values(), drawn[1].values()))


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    skip_where_missing("vit_b16")
    torch.manual_seed(0)
    return build_baseline("vit_b16", 2, 1, 2, 32).eval()


def test_logits_of_vit_are_not_bounded(vit: Any) -> None:
    head, images = vit.network.classification_head, torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        before = vit(images)
        head.weight *= 100
        head.bias *= 100
        after = vit(images)
        head.weight /= 100
        head.bias /= 100
    torch.testing.assert_close(after, 100 * before, rtol=1e-5, atol=1e-5)  # float32, by kernels of any CPU
    assert after.abs().max() > 1


def test_fused_attention_of_vit_gives_what_monai_computes(vit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images, fused = torch.randn(2, 1, 32, 32), functional.scaled_dot_product_attention
    calls: list[int] = []
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k))
    with torch.no_grad():
        logits = vit(images)
        for block in vit.network.blocks:
            monkeypatch.setattr(block.attn, "use_flash_attention", False)
        torch.testing.assert_close(vit(images), logits, rtol=1e-4, atol=1e-5)
    assert len(calls) == 12


def test_resnet_halves_images_first() -> None:
    # With stride 1 there, as is MONAI's default, a network has the same parameters and four times the work.
    assert build("resnet50").network.conv1.stride == (2, 2)


@pytest.mark.parametrize(("dims", "expected"), [(2, True), (3, False)])
def test_convolutions_of_images_are_channels_last(dims: int, expected: bool) -> None:
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    weight = build("resnet18", dims=dims).network.conv1.weight
    assert weight.is_contiguous(memory_format=layout) == expected


def test_a_metatensor_gives_plain_logits() -> None:
    network = build("resnet18", num_classes=2)
    assert type(network(MetaTensor(torch.zeros(1, 3, 64, 64, device="meta")))) is torch.Tensor


@pytest.mark.parametrize("name", ["swin_t", "convnext_b"])
def test_the_drop_path_rate_arrives(name: str) -> None:
    assert build(name, drop_path_rate=0.3).network.config.drop_path_rate == 0.3


@pytest.mark.parametrize("name", WITHOUT_DROP_PATH)
def test_a_drop_path_rate_is_refused_where_there_is_none(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*no drop path.*0\.1"):
        build_baseline(name, 2, 3, 2, 224, drop_path_rate=0.1)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_drop_path_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(UserError, match=r"must be in \[0, 1\)"):
        build_baseline("swin_t", 2, 3, 2, 224, drop_path_rate=rate)


def test_vit_names_the_sizes_beside_one_that_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"multiple of 16.*image_size=100: choose 96 or 112"):
        build_baseline("vit_b16", 2, 3, 2, 100)


@pytest.mark.parametrize("name", ["swin_t", "convnext_b", "medvit_t"])
def test_networks_for_images_refuse_volumes_and_name_others(name: str) -> None:
    with pytest.raises(UserError, match=r"spatial_dims=3: choose a MedMamba or one of resnet18, .*vit_b16"):
        build_baseline(name, 3, 1, 2, 224)


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(UserError, match="spatial_dims=1: choose one of 2, 3"):
        build_baseline("resnet18", 1, 1, 2, 64)


@pytest.mark.parametrize("name", ["vit_b16", "swin_t", "convnext_b"])
def test_a_missing_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=rf"{name}.* needs {BASELINES[name].package}.*medmamba-monai\[baselines\]"):
        build_baseline(name, 2, 3, 2, 224)


@pytest.mark.parametrize("shape", [(1, 3, 64), (1, 1, 64, 64), (1, 3, 64, 8), (1, 3, 64, 64, 64)])
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    network = Classifier(nn.Identity(), spatial_dims=2, in_channels=3, smallest_size=16)
    with pytest.raises(UserError, match=r"3 channels and 2 spatial axes, the size of each is 16 or more; got"):
        network(torch.zeros(shape))


def test_a_network_of_one_size_refuses_others() -> None:
    network = Classifier(nn.Identity(), spatial_dims=2, in_channels=3, smallest_size=16, fixed_size=32)
    with pytest.raises(UserError, match=r"the size of each is 32; got the shape \[1, 3, 48, 48\]"):
        network(torch.zeros(1, 3, 48, 48))


def test_vit_is_a_network_of_one_size() -> None:
    assert (build("vit_b16", 64).fixed_size, build("resnet18", 64).fixed_size) == (64, None)


def test_what_needs_nothing_more_builds_where_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "find_spec", lambda package: None)
    assert build("resnet18").network.fc.out_features == 2
