"""Grad-CAM: what MONAI's hooks see on each layer, and that a planted spot is found where it was planted."""

from __future__ import annotations

import doctest

import pytest
import torch
from monai.visualize import GradCAM, GradCAMpp
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import MedMamba, grad_cam, list_cam_layers, make_grad_cam

SPOTS = {2: ((32, 64), (2, 10)), 3: ((16, 24, 32), (1, 4, 6))}
"""Shapes of images, and the token of a spot in each, by the number of axes."""
PARTS = ("embedding", "embedding.conv", "stages", "stages.0", "stages.0.blocks.0", "stages.0.blocks.0.ss2d")


def plant(spatial_dims: int) -> tuple[MedMamba, Tensor, tuple[int, ...]]:
    """Make a network that looks for a spot, an image with it, and the spot's place in tokens."""
    torch.manual_seed(0)
    net = MedMamba(spatial_dims, 1, 2, depths=(1,), channels=(8,)).eval()
    shape, place = SPOTS[spatial_dims]
    plain = torch.zeros(1, 1, *shape)
    spotted = plain.clone()
    spotted[(0, 0, *(slice(4 * at, 4 * at + 4) for at in place))] = 9
    with torch.no_grad():
        difference = net.forward_features(spotted) - net.forward_features(plain)
        net.head.weight.zero_()
        net.head.weight[1] = difference[(0, slice(None), *place)]
    return net, spotted, place


def compute_cam(net: MedMamba, layer: str, x: Tensor, channel_axis: int = 1) -> Tensor:
    """Compute Grad-CAM (B, S) by its formula: the sum over channels of a map, each weighted by its mean gradient."""
    maps: list[Tensor] = []
    hook = net.get_submodule(layer).register_forward_hook(lambda *args: maps.append(args[-1]))
    score = net(x)[0, 1]
    hook.remove()
    gradient = torch.autograd.grad(score, maps[0])[0].movedim(channel_axis, -1)
    weights = gradient.flatten(1, -2).mean(1)
    return torch.relu(maps[0].detach().movedim(channel_axis, -1) @ weights[0])


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_spot_is_found_where_it_was_planted(spatial_dims: int) -> None:
    net, x, place = plant(spatial_dims)
    cam = GradCAM(net, "stages")(x, class_idx=1, layer_idx=-1)[0, 0]  # MONAI's map is 0 where the class is
    token = torch.nn.functional.avg_pool3d if spatial_dims == 3 else torch.nn.functional.avg_pool2d
    tokens = token(torch.as_tensor(cam)[None], 4)[0]
    assert torch.unravel_index(tokens.argmin(), tokens.shape) == tuple(map(torch.tensor, place))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("layer", PARTS)
def test_monai_computes_the_map_of_the_formula_on_every_part(spatial_dims: int, layer: str) -> None:
    net, x, _ = plant(spatial_dims)
    cam = make_grad_cam(net, layer)
    found = cam.compute_map(x, class_idx=1, layer_idx=-1)
    torch.testing.assert_close(found[:, 0], compute_cam(net, layer, x), rtol=1e-4, atol=1e-6)


def test_every_layer_that_is_listed_gives_a_map_with_the_channels_first() -> None:
    net = MedMamba(2, 1, 2, depths=(1, 1), channels=(8, 16))
    shapes: dict[str, torch.Size] = {}
    for name in list_cam_layers(net):
        net.get_submodule(name).register_forward_hook(lambda *args, name=name: shapes.update({name: args[-1].shape}))
    net.eval()(torch.zeros(1, 1, 24, 40))
    assert {tuple(shape[2:]) for shape in shapes.values()} == {(6, 10), (3, 5)}
    assert list(shapes.keys() ^ list_cam_layers(net)) == []
    assert set(PARTS) < set(shapes)


@pytest.mark.parametrize(
    "layer", [f"stages.0.blocks.0.{name}" for name in ("scan_norm", "ss2d.in_proj", "ss2d.out_norm", "ss2d.out_proj")]
)
def test_layers_of_tokens_are_refused_with_what_is_near(layer: str) -> None:
    net = MedMamba(2, 1, 2, depths=(1,), channels=(8,))
    with pytest.raises(UserError, match=rf"target_layer='{layer}' sees tokens.*near are 'stages\.0\.blocks\.0"):
        make_grad_cam(net, layer)


@pytest.mark.parametrize("layer", ["head", "embedding.norm", "", "stages.0.merging.norm"])
def test_what_is_no_map_is_refused(layer: str) -> None:
    with pytest.raises(UserError, match="Grad-CAM: target_layer="):
        make_grad_cam(MedMamba(2, 1, 2, depths=(1, 1), channels=(8, 16)), layer)


def test_layers_are_found_inside_another_network() -> None:
    outer = nn.Sequential(nn.Identity(), MedMamba(2, 1, 2, depths=(1,), channels=(8,)))
    assert "1.stages.0" in list_cam_layers(outer)
    assert "0" not in list_cam_layers(outer)
    assert isinstance(make_grad_cam(outer, "1.stages", GradCAMpp), GradCAMpp)
    with pytest.raises(UserError, match="is no layer of this network"):
        make_grad_cam(outer, "1.stagse")


def test_docstring_examples() -> None:
    assert doctest.testmod(grad_cam).attempted > 0
    assert doctest.testmod(grad_cam).failed == 0
