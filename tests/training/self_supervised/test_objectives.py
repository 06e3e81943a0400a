from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.images import RandomFlipd, RandomScaleIntensityd
from medmamba_monai.training import ContrastiveViews, MaskedImages, make_objective
from medmamba_monai.training.self_supervised.objectives import Objective

VIEWS = [RandomFlipd(0.5, 1), RandomScaleIntensityd(0.5, 1.0)]


def small(dims: int = 2, channels: int = 1) -> MedMamba:
    torch.manual_seed(0)
    return MedMamba(dims, channels, 2, depths=(1, 1), channels=(8, 16), state_size=2)


def ask(objective: Objective, images: torch.Tensor, seed: int = 0) -> tuple[Any, torch.Tensor]:
    inputs, target, further, _ = objective.draw(images, seed)
    output = objective(inputs, *further)
    return output, objective.loss(output, target)


@pytest.mark.parametrize(("dims", "channels", "size"), [(2, 1, 16), (2, 3, 20), (3, 1, 8)])
def test_visible_pixels_stay_and_the_loss_is_the_mean_error_of_the_covered(dims, channels, size):
    objective = MaskedImages(small(dims, channels), size, mask_size=4, mask_share=0.5)
    images = torch.rand(2, channels, *[size] * dims)
    output, loss = ask(objective, images)
    changed = (output != images).any(1)
    covered = objective.draw(images, 0)[2][0][:, 0].bool()
    for axis in range(1, dims + 1):
        covered = covered.repeat_interleave(4, axis)
    reach = size // 8 * 8  # the last map spans so many pixels
    inside = (slice(None), *[slice(reach)] * dims)
    assert torch.equal(changed[inside], covered[inside])
    expected = (output - images).abs().movedim(1, -1)[changed].sum() / (covered.sum() * channels)
    torch.testing.assert_close(loss, expected)


def test_what_is_covered_is_not_seen():
    objective = MaskedImages(small(), 16, mask_size=4, mask_share=0.5).eval()
    images = torch.rand(1, 1, 16, 16)
    covered = torch.zeros(1, 1, 4, 4)
    covered[..., :2, :] = 1
    other = images.clone()
    other[..., :8, :] = torch.rand(1, 1, 8, 16)
    with torch.inference_mode():
        torch.testing.assert_close(objective(images, covered)[..., :8, :], objective(other, covered)[..., :8, :])


def test_the_loss_is_low_where_views_of_one_image_are_alike_and_those_of_others_are_not():
    objective = ContrastiveViews(small(), VIEWS)
    apart = torch.eye(4)
    alike = objective.loss(torch.cat([apart, apart]), apart)
    mixed = objective.loss(torch.cat([apart, apart.roll(1, 0)]), apart)
    assert alike < 0.1 < mixed


@pytest.mark.parametrize("method", ["masked", "contrastive"])
def test_a_step_lowers_the_loss_and_reaches_all_but_the_head(method):
    objective = make_objective(method, small(), 16, VIEWS, None, 0.6)
    images = torch.rand(8, 1, 16, 16)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = ask(objective, images)[1]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    without = [name for name, parameter in objective.named_parameters() if parameter.grad is None]
    assert without == ["network.head.weight", "network.head.bias"]


@pytest.mark.parametrize("method", ["masked", "contrastive"])
def test_batches_follow_the_seed_of_torch_and_validation_is_always_the_same(method):
    objective = make_objective(method, small(), 16, VIEWS, None, 0.6)
    batch = {"image": torch.rand(4, 1, 16, 16)}

    def inputs(prepared: Any) -> torch.Tensor:
        return prepared[2][0] if method == "masked" else prepared[0]

    torch.manual_seed(1)
    first, second = (inputs(objective.prepare_batch(batch)) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(first, inputs(objective.prepare_batch(batch)))
    assert not torch.equal(first, second)
    assert torch.equal(inputs(objective.prepare_validation(batch)), inputs(objective.prepare_validation(batch)))


def test_every_parameter_is_in_one_group():
    objective = make_objective("masked", small(), 16, VIEWS, None, 0.6)
    groups = objective.parameter_groups(0.1)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(map(id, objective.parameters()))


@pytest.mark.parametrize(
    ("size", "mask_size", "share", "said"),
    [
        (16, 6, 0.5, "--mask_size 6: must be a multiple"),
        (16, 16, 0.5, "must hold two such parts"),
        (16, 4, 0.0, "--mask_share: covers 0 of 16"),
        (16, 4, 1.0, "--mask_share: covers 16 of 16"),
    ],
)
def test_masks_that_do_not_fit_are_refused(size, mask_size, share, said):
    with pytest.raises(UserError, match=said):
        MaskedImages(small(), size, mask_size, share)


@pytest.mark.parametrize("method", ["masked", "contrastive"])
def test_another_network_is_refused(method):
    with pytest.raises(UserError, match="pretrain is of a MedMamba, found Linear"):
        make_objective(method, nn.Linear(2, 2), 16, VIEWS, None, 0.6)


def test_views_without_transforms_are_refused():
    with pytest.raises(UserError, match="views: give at least one"):
        ContrastiveViews(small(), [])
