from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from monai.transforms import Flip, Identity, Resize, Rotate, Zoom

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.training import AverageViews, choose_inferer
from medmamba_monai.training.inferers import apply_view

ROTATE = Rotate(0.087, mode="bilinear", padding_mode="border")
VIEWS = [Identity(), Flip(spatial_axis=1), ROTATE, Zoom(1.1, mode="bilinear")]


@pytest.fixture(scope="module")
def network() -> MedMamba:
    torch.manual_seed(0)
    return MedMamba(2, 3, 4, depths=(1, 1), channels=(8, 16)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_answer_is_the_mean_of_the_probabilities_of_each_view_of_each_image(network, images, activation):
    squash = torch.nn.Softmax(-1) if activation == "softmax" else torch.nn.Sigmoid()
    found = squash(AverageViews(VIEWS, activation)(images, network))
    for image, answer in zip(images, found, strict=True):
        single = [squash(network(torch.as_tensor(np.asarray(view(image)))[None])[0]) for view in VIEWS]
        torch.testing.assert_close(answer, torch.stack(single).mean(0), rtol=0, atol=1e-6)


def test_a_view_of_a_batch_is_the_view_of_each_image(images):
    mirrored = apply_view(images, Flip(spatial_axis=1))
    assert type(mirrored) is torch.Tensor
    assert torch.equal(mirrored, images.flip(-1))


@pytest.mark.parametrize(
    "view", [Flip(spatial_axis=2), Rotate([0.087, 0, 0], mode="bilinear"), Zoom(1.1, mode="trilinear")]
)
def test_volumes_have_views_too(view):
    volumes = torch.rand(2, 3, 8, 9, 10)
    single = torch.stack([torch.as_tensor(np.asarray(view(volume))) for volume in volumes])
    torch.testing.assert_close(apply_view(volumes, view), single)


def test_a_small_rotation_of_a_volume_keeps_its_slices():
    volume = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 9, 10)
    rotated = apply_view(volume, Rotate([0.087, 0, 0], mode="bilinear", padding_mode="border"))
    torch.testing.assert_close(rotated, volume, rtol=0, atol=1e-5)


def test_probabilities_of_zero_and_one_stay():
    logits = torch.tensor([[200.0, -200.0]])
    for activation, squash in (("softmax", torch.nn.Softmax(-1)), ("sigmoid", torch.nn.Sigmoid())):
        answer = AverageViews([Identity()], activation)(torch.zeros(1, 1, 2, 2), lambda _: logits)
        assert squash(answer).tolist() == [[1.0, 0.0]]


def test_without_test_time_augmentation_the_logits_are_untouched(network, images):
    inferer = choose_inferer(False, VIEWS, "softmax")
    assert type(inferer) is SimpleInferer
    assert torch.equal(inferer(images, network), network(images))


def test_what_is_neither_true_nor_false():
    with pytest.raises(UserError, match="--tta 'no': give True or False"):
        choose_inferer("no", VIEWS, "softmax")


def test_no_views():
    with pytest.raises(UserError, match="views: give at least one"):
        AverageViews([], "softmax")


def test_a_view_of_another_size(images):
    with pytest.raises(UserError, match=r"makes images of \(16, 16\) from \(32, 32\)"):
        apply_view(images, Resize((16, 16)))
