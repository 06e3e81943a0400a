"""Scan relevance: it conserves the logit, adds up over branches and directions, and is that of a dense network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain import EXPLANATIONS, ScanRelevance
from medmamba_monai.explain.biases import BiasAccount
from medmamba_monai.explain.rules import LinearRule
from medmamba_monai.networks import MedMamba, load_official_checkpoint, medmamba_tiny
from tests.explain.dense import dense_relevance
from tests.explain.nets import draw_images, small_net

CLASSES = torch.tensor([2, 0])
DENSE_SIZES = {2: (9, 12), 3: (8, 6, 5)}
OPTIONS: list[dict[str, Any]] = [
    {"act": "gelu", "norm": ("group", {"num_groups": 2})},
    {"act": "sigmoid", "norm": ("instance", {"affine": True})},
    {"act": ("leakyrelu", {"inplace": True}), "norm": "instance"},
    {"norm": ("instance", {"track_running_stats": True}), "scan_backend": "torch"},
    {"scan_backend": "reference"},
    {"act": "swish", "norm": ("layer", {"normalized_shape": (6, 4)}), "depths": (1,), "channels": (8,)},
]


def check_conservation(network: nn.Module, images: Tensor, classes: Tensor, tolerance: float) -> None:
    """The map and the biases, each found by itself, give the logit of the network."""
    found = ScanRelevance(network).explain(images, classes)
    with torch.inference_mode():
        logit = network(images).gather(1, classes[:, None])[:, 0]
    scale = logit.abs().max()
    assert (found.logit - logit).abs().max() <= tolerance * scale
    assert (found.total.flatten(1).sum(1) + found.from_biases - logit).abs().max() <= tolerance * scale
    assert found.from_biases.abs().max() > 0.01 * scale
    assert found.total.flatten(1).sum(1).abs().max() > 0.01 * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_map_and_biases_add_up_to_the_logit(spatial_dims: int, dtype: torch.dtype) -> None:
    network = small_net(spatial_dims).to(dtype)
    check_conservation(network, draw_images(spatial_dims, dtype), CLASSES, 1e-3 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("gamma", [0.1, 2.0])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_favored_contributions_conserve(spatial_dims: int, gamma: float) -> None:
    network, images = small_net(spatial_dims).double(), draw_images(spatial_dims, torch.float64)
    found, plain = (ScanRelevance(network, value).explain(images, CLASSES) for value in (gamma, 0.0))
    added = found.total.flatten(1).sum(1) + found.from_biases
    torch.testing.assert_close(added, found.logit, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.logit, plain.logit)
    assert (found.total - plain.total).abs().max() > 0.01 * plain.total.abs().max()


def test_contributions_with_the_sign_of_their_sum_are_favored_as_the_formula_says() -> None:
    layer = nn.Linear(3, 2, dtype=torch.float64)
    layer.weight.data = torch.tensor([[1.0, -2, 0.5], [1, 1, -3]], dtype=torch.float64)
    layer.bias.data = torch.tensor([0.5, -0.25], dtype=torch.float64)
    account, x = BiasAccount(), torch.tensor([[2.0, 0.5, -1]], dtype=torch.float64, requires_grad=True)
    account.open(1)
    rule = LinearRule(layer, account)
    rule.gamma = 0.5
    z = rule(x)
    torch.testing.assert_close(z, layer(x))
    (gradient,) = torch.autograd.grad(z[0, 1], x)
    shares = torch.tensor([2.0, 0.5, 3.0, -0.25], dtype=torch.float64)  # of z = 5.25, the bias last
    favored = torch.where(shares > 0, 1.5, 1.0) * shares
    torch.testing.assert_close((gradient * x)[0], 5.25 * favored[:3] / favored.sum())
    torch.testing.assert_close(account.close(), 5.25 * favored[3:] / favored.sum())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_other_norms_activations_and_backends_conserve(options: dict[str, Any]) -> None:
    images = draw_images(dtype=torch.float64)[..., :12, :8]
    check_conservation(small_net(**options).double(), images, CLASSES, 1e-10)


def test_official_network_conserves(reference_dir: Path) -> None:
    with np.load(reference_dir / "official_micro.npz", allow_pickle=False) as archive:
        arrays = {key: torch.from_numpy(value) for key, value in archive.items() if value.dtype.kind in "fi"}
    network = load_official_checkpoint({k.removeprefix("state/"): v for k, v in arrays.items() if "state/" in k})
    check_conservation(network.eval(), arrays["input_odd"], torch.tensor([1, 4]), 1e-3)


def test_medmamba_tiny_conserves() -> None:
    torch.manual_seed(0)
    network = medmamba_tiny(num_classes=6)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    check_conservation(network.eval(), torch.randn(1, 3, 64, 64), torch.tensor([3]), 1e-3)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_split_equals_the_dense_network(spatial_dims: int) -> None:
    network, images = small_net(spatial_dims).double(), draw_images(spatial_dims, torch.float64)
    images = images[(slice(1), slice(None), *map(slice, DENSE_SIZES[spatial_dims]))]
    found = ScanRelevance(network).explain(images, 1)
    expected = dense_relevance(network, images, 1)
    split = torch.stack([found.convolution[0], *found.directions[0], found.direct[0]])
    assert split.shape == expected.shape == (2 * spatial_dims + 2, *images.shape[2:])
    for part, truth in zip(split, expected, strict=True):
        torch.testing.assert_close(part, truth, rtol=1e-8, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_branches_and_directions_add_up_to_the_map_of_one_pass(spatial_dims: int) -> None:
    network, images = small_net(spatial_dims), draw_images(spatial_dims)
    method = ScanRelevance(network)
    found = method.explain(images, CLASSES)
    tolerance: dict[str, float] = {"rtol": 1e-4, "atol": 1e-5 * float(found.total.abs().max())}
    assert found.directions.shape == (2, 2 * spatial_dims, *images.shape[2:])
    torch.testing.assert_close(found.convolution + found.scan + found.direct, found.total, **tolerance)
    torch.testing.assert_close(method(images, CLASSES), found.total, **tolerance)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_map_does_not_depend_on_the_zero_of_the_intensities(spatial_dims: int) -> None:
    network, images = small_net(spatial_dims), draw_images(spatial_dims)
    shifted = copy.deepcopy(network)
    weight = network.embedding.conv.weight
    shifted.embedding.conv.bias.data -= 0.7 * weight.detach().flatten(1).sum(1)  # type: ignore[operator]
    first, second = ScanRelevance(network)(images, 1), ScanRelevance(shifted)(images + 0.7, 1)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4 * float(first.abs().max()))


def test_border_that_no_patch_covers_has_no_relevance_and_a_filter_of_zeros_shares_evenly() -> None:
    network, images = small_net(), draw_images()
    network.embedding.conv.weight.data[0] = 0
    found = ScanRelevance(network)(images, 1)
    assert images.shape[3] == 17
    assert not found[..., 16].any()
    assert found[..., :16].any()
    assert bool(found.isfinite().all())
    check_conservation(network, images, CLASSES, 1e-3)


def test_what_speaks_for_a_class_is_where_relevance_is_above_zero_and_no_less() -> None:
    method, images = ScanRelevance(small_net()), draw_images()
    positive, signed = method.speak_for(images, CLASSES), method(images, CLASSES)
    assert bool((positive >= 0).all())
    assert bool((positive >= signed - 1e-6 * signed.abs().max()).all())
    assert positive.sum() > signed.clamp(min=0).sum() > 0


def test_each_image_is_explained_by_itself() -> None:
    method, images = ScanRelevance(small_net()), draw_images()
    together = method(images, CLASSES)
    alone = torch.cat([method(image[None], int(index)) for image, index in zip(images, CLASSES, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5 * float(alone.abs().max()))


def test_network_stays_as_it_was_and_its_hooks_are_not_called() -> None:
    network, images = small_net().train(), draw_images()
    called: list[str] = []
    for module in network.modules():
        module.register_forward_hook(lambda *_: called.append("forward"))
    before = copy.deepcopy({name: tensor.clone() for name, tensor in network.state_dict().items()})
    hooks = [len(module._forward_hooks) for module in network.modules()]
    modules = list(network.modules())
    ScanRelevance(network).explain(images, 1)
    assert not called
    assert list(network.modules()) == modules
    assert [len(module._forward_hooks) for module in network.modules()] == hooks
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_weights_are_read_at_each_call_also_in_inference_mode_from_a_meta_tensor() -> None:
    network, images = small_net(), draw_images()
    method = ScanRelevance(network)
    first = method(images, 0)
    network.head.weight.data *= 3  # type: ignore[operator]
    with torch.inference_mode():
        second = method(MetaTensor(images.clone()), 0)
    assert type(second) is Tensor
    torch.testing.assert_close(second, 3 * first)


@pytest.mark.parametrize(
    ("class_index", "reason"),
    [
        (3, "classes are 0 to 2"),
        (-1, "classes are 0 to 2"),
        (torch.tensor([0, 1, 2]), "one for each of 2 images"),
        (0.0, "whole number"),
        (True, "whole number"),
    ],
)
def test_unknown_class_is_refused(class_index: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        ScanRelevance(small_net())(draw_images(), class_index)


def test_networks_that_it_cannot_explain_are_refused() -> None:
    with pytest.raises(UserError, match="Linear is none"):
        ScanRelevance(nn.Linear(2, 2))
    with pytest.raises(UserError, match="no class"):
        ScanRelevance(MedMamba(2, 1, 0, depths=(1,), channels=(4,)))
    with pytest.raises(UserError, match="no rule for the layer LocalResponseNorm"):
        ScanRelevance(MedMamba(2, 1, 2, depths=(1,), channels=(4,), norm=("localresponse", {"size": 2})))
    method = ScanRelevance(small_net(norm=("batch", {"track_running_stats": False})))
    with pytest.raises(UserError, match="mixes the images"):
        method(draw_images(), 0)


def test_catalogue_has_a_row_that_knows_its_networks() -> None:
    row = EXPLANATIONS["scan_relevance"]
    assert row.can_explain(small_net())
    assert not row.can_explain(nn.Linear(2, 2))
    assert row.make(small_net())(draw_images(), 1).dtype == torch.float32
