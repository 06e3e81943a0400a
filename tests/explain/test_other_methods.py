"""The other methods beside relevance: on planted spots, beside MONAI's own, and what they leave of the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import ViT
from monai.visualize import GradCAM, GradCAMpp, OcclusionSensitivity, SmoothGrad
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explain.class_activation import ClassActivation, find_last_map
from medmamba_monai.explain.gradients import IntegratedGradients
from medmamba_monai.networks import MedMamba, build_network

OTHERS = [name for name in EXPLANATIONS if not name.endswith("relevance")]
FLOORS = ("random", "edges")
SPOTS: dict[int, tuple[slice, ...]] = {2: (slice(8, 12), slice(20, 24)), 3: (slice(4, 8), slice(8, 12), slice(8, 12))}
SHAPES: dict[int, tuple[int, ...]] = {2: (24, 32), 3: (16, 16, 16)}


class SpotLooker(nn.Module):
    """Sums up a map that answers to bright pixels; class 1 is for them and class 0 against."""

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        self.conv = (nn.Conv2d if spatial_dims == 2 else nn.Conv3d)(1, 1, 1, bias=True)
        nn.init.ones_(self.conv.weight)
        nn.init.constant_(self.conv.bias, -1.0)  # type: ignore[arg-type]
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        answer = 0.1 * self.act(self.conv(x)).flatten(1).pow(2).sum(1)
        return torch.stack([-answer, answer], 1)


def spotted(spatial_dims: int, count: int = 1) -> Tensor:
    images = 0.1 * torch.rand(count, 1, *SHAPES[spatial_dims], generator=torch.Generator().manual_seed(0))
    images[(slice(None), slice(None), *SPOTS[spatial_dims])] = 3.0
    return images


def tiny(spatial_dims: int = 2, in_channels: int = 1) -> MedMamba:
    torch.manual_seed(0)
    return MedMamba(spatial_dims, in_channels, 3, depths=(1, 1), channels=(8, 16)).eval()


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in OTHERS if name not in FLOORS])
def test_the_spot_that_decides_is_found(name: str, spatial_dims: int) -> None:
    x = spotted(spatial_dims, 2)
    maps = EXPLANATIONS[name].make(SpotLooker(spatial_dims))(x, torch.tensor([1, 1]))
    for found in maps:
        place = torch.unravel_index(found.argmax(), found.shape)
        assert all(axis.start <= at < axis.stop for axis, at in zip(SPOTS[spatial_dims], place, strict=True))
    assert (maps.min() < 0) <= EXPLANATIONS[name].signed


@pytest.mark.parametrize("spatial_dims", [2, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", OTHERS)
def test_a_batch_gives_what_its_images_give_alone(name: str, spatial_dims: int) -> None:
    net, x = tiny(spatial_dims), torch.rand(3, 1, *SHAPES[spatial_dims])
    method, classes = EXPLANATIONS[name].make(net), torch.tensor([2, 0, 2])
    together = method(x, classes)
    assert together.shape == (3, *SHAPES[spatial_dims])
    assert together.dtype == torch.float32
    alone = torch.cat([method(image[None], int(c)) for image, c in zip(x, classes, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_the_network_and_the_images_stay_as_they_were(name: str) -> None:
    net, x = tiny().train(), torch.rand(2, 1, 32, 32)
    net.head.bias.requires_grad_(False)
    before, random_state = {key: value.clone() for key, value in net.state_dict().items()}, torch.get_rng_state()
    kept = x.clone()
    with torch.inference_mode():
        EXPLANATIONS[name].make(net)(x, 1)
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert net.training
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert [p.requires_grad for p in net.head.parameters()] == [True, False]
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_classes_that_do_not_exist_are_refused(name: str) -> None:
    method = EXPLANATIONS[name].make(tiny())
    for wrong in (3, torch.tensor([0, 3]), torch.tensor([0, 1, 2]), torch.tensor([0.5, 1.0])):
        with pytest.raises(UserError, match="class_index="):
            method(torch.rand(2, 1, 32, 32), wrong)


@pytest.mark.parametrize(("name", "kind"), [("grad_cam", GradCAM), ("grad_cam_plus_plus", GradCAMpp)])
def test_class_activation_is_monais(name: str, kind: type[GradCAM]) -> None:
    net, x = tiny(), torch.rand(1, 1, 32, 32)
    expected = kind(net, "stages").compute_map(x, class_idx=1)
    found = EXPLANATIONS[name].make(net)(x, 1)
    torch.testing.assert_close(nn.functional.avg_pool2d(found[:, None], 8)[..., 1:3, 1:3].mean().item() > 0, True)
    enlarged = nn.functional.interpolate(expected.detach(), (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(found, enlarged)


def test_occlusion_is_what_monais_logits_lose() -> None:
    net, x = tiny(), torch.rand(1, 1, 32, 32)
    monai = OcclusionSensitivity(net, 4, verbose=False, mode="mean_img", overlap=0.5, activate=False)
    expected = net(x)[0, 2].detach() - torch.as_tensor(monai(x)[0])[0, 2]
    torch.testing.assert_close(EXPLANATIONS["occlusion"].make(net)(x, 2)[0], expected)


def test_smooth_gradients_are_monais_over_channels() -> None:
    net, x = tiny(in_channels=3), torch.rand(1, 3, 32, 32)
    method = EXPLANATIONS["smooth_gradients"].make(net)
    found = method(x, 0)
    torch.testing.assert_close(found, method(x, 0), rtol=0, atol=0)
    monai = SmoothGrad(net, 0.15, 64, verbose=False)(x.clone(), 0).sum(1)
    mixed = torch.corrcoef(torch.stack([found.flatten(), monai.flatten()]))[0, 1]
    assert mixed > 0.8
    assert found.mean() == pytest.approx(float(monai.mean()) * 2, rel=0.15)  # MONAI divides by n, not by its root


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_integrated_gradients_add_up_to_what_the_image_adds(spatial_dims: int) -> None:
    net, x = tiny(spatial_dims), torch.rand(2, 1, *SHAPES[spatial_dims])
    plain = x.mean(tuple(range(2, x.ndim)), keepdim=True).expand_as(x)
    with torch.no_grad():
        expected = net(x)[:, 1] - net(plain)[:, 1]
    torch.testing.assert_close(IntegratedGradients(net, 64)(x, 1).flatten(1).sum(1), expected, rtol=1e-2, atol=1e-4)


def test_integrated_gradients_of_a_square_are_half_its_growth() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).pow(2).sum(1, keepdim=True)

    x = torch.tensor([[[[1.0, 3.0]]]])  # around its mean 2: (1 - 2)(1 + 2), (3 - 2)(3 + 2)
    torch.testing.assert_close(IntegratedGradients(Square(), 1)(x, 0), torch.tensor([[[-3.0, 5.0]]]))


def test_floors_know_the_image_and_nothing_else() -> None:
    x = spotted(2, 2)
    x[1] = x[1].flip(-1)
    for name in FLOORS:
        one, other = (EXPLANATIONS[name].make(net)(x, 1) for net in (SpotLooker(2), tiny()))
        assert torch.equal(one, other)
        assert not torch.equal(one[0], one[1])
    edges = EXPLANATIONS["edges"].make(tiny())(x, 0)[0]
    columns = SPOTS[2][1]
    assert edges[9, columns.start - 1] > 5 * edges[2, 2]


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [("resnet18", 64, "network.layer4"), ("resnet18", 32, "network.layer3"), ("medvit_t", 64, "network.norm")],
)
def test_the_last_map_is_the_one_before_the_head(name: str, size: int, layer: str) -> None:
    net = build_network(name, 2, 1, 2, image_size=size).eval()
    assert find_last_map(net, torch.rand(1, 1, size, size)) == layer


def test_the_last_map_of_medmamba_is_that_of_its_stages() -> None:
    assert find_last_map(tiny(), torch.rand(1, 1, 32, 32)) == "stages"
    one_token_left = find_last_map(tiny(), torch.rand(1, 1, 8, 8))
    assert one_token_left.startswith("stages.0.blocks")
    with pytest.raises(UserError, match=r"no map of several positions is left of images of the shape \[1, 4, 4\]"):
        find_last_map(MedMamba(2, 1, 2, depths=(1,), channels=(8,)).eval(), torch.rand(1, 1, 4, 4))


def test_what_hands_on_tokens_has_no_class_activation_and_occlusion_all_the_same() -> None:
    sizes = {"hidden_size": 8, "mlp_dim": 8, "num_layers": 1, "num_heads": 2}
    net = ViT(1, 32, 16, **sizes, classification=True, num_classes=2, spatial_dims=2, post_activation="").eval()

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = net

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)[0]

    for name in ("grad_cam", "grad_cam_plus_plus"):
        assert not EXPLANATIONS[name].can_explain(Logits())
        with pytest.raises(UserError, match="hands on tokens: choose another method, such as occlusion"):
            EXPLANATIONS[name].make(Logits())
    for name in set(OTHERS) - {"grad_cam", "grad_cam_plus_plus"}:
        assert EXPLANATIONS[name].can_explain(Logits())
        assert EXPLANATIONS[name].make(Logits())(torch.rand(1, 1, 32, 32), 1).shape == (1, 32, 32)


def test_logits_too_large_for_a_map_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net: Callable[[Tensor], Tensor] = SpotLooker(2)
    with pytest.raises(UserError, match="ClassActivationPlusPlus: a map has values that are not finite"):
        EXPLANATIONS["grad_cam_plus_plus"].make(net)(100 * spotted(2), 1)  # type: ignore[arg-type]
    assert ClassActivation(net)(100 * spotted(2), 1).isfinite().all()  # type: ignore[arg-type]
