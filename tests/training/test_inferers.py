from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from monai.transforms import Flip, Identity, Resize, Rotate, Zoom

from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ResizeImage
from medmamba_monai.training import AverageScales, AverageViews, choose_inferer, find_read_size
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


def test_scales_are_means_of_the_means_of_their_windows(network):
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = AverageScales([1, 2], 32, "softmax")(images, network).softmax(1)
    for image, answer in zip(images, found, strict=True):
        whole = network(ResizeImage([32, 32])(image)[None]).softmax(1)[0]
        starts = (0, 24, 32)  # a quarter of a window overlaps; the last one ends with the image
        parts = [
            network(image[None, :, row : row + 32, column : column + 32]).softmax(1)[0]
            for row in starts
            for column in starts
        ]
        assert (parts[0] - parts[-1]).abs().max() > 1e-4
        torch.testing.assert_close(answer, (whole + torch.stack(parts).mean(0)) / 2, rtol=0, atol=1e-6)


def test_windows_of_a_volume_are_cut_along_all_axes():
    network = MedMamba(3, 1, 2, depths=(1, 1), channels=(8, 16)).eval().requires_grad_(False)
    volumes = torch.rand(2, 1, 24, 24, 24)
    parts = [
        network(volumes[:, :, x : x + 16, y : y + 16, z : z + 16]).sigmoid()
        for x in (0, 8)
        for y in (0, 8)
        for z in (0, 8)
    ]
    found = AverageScales([1.5], 16, "sigmoid")(volumes, network).sigmoid()
    torch.testing.assert_close(found, torch.stack(parts).mean(0), rtol=0, atol=1e-6)


def test_a_finding_that_scaling_down_wipes_out_is_seen_by_the_windows():
    images = torch.zeros(2, 1, 128, 128)
    images[1, 0, 37, 90] = 1.0

    def see(part: torch.Tensor) -> torch.Tensor:
        """A network that is sure of a pixel above 0.5, and that there is nothing else."""
        found = (part.flatten(1).amax(1) > 0.5).float() * 40 - 20
        return torch.stack([-found, found], 1)

    once = AverageScales([1], 32, "softmax")(torch.stack([ResizeImage([32, 32])(image) for image in images]), see)
    both = AverageScales([1, 4], 32, "softmax")(images, see).softmax(1)[:, 1]
    assert once.softmax(1)[:, 1].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert both[0] == pytest.approx(0, abs=1e-6)
    assert both[1] == pytest.approx(1 / 25 / 2, abs=1e-6)  # of 25 windows, at one of two scales


def test_views_of_windows(network):
    images = torch.rand(2, 3, 48, 48) * 2 - 1
    inferer = choose_inferer(True, VIEWS, "softmax", [1.5], 32)
    places = [(row, column) for row in (0, 16) for column in (0, 16)]
    views = AverageViews(VIEWS, "softmax")
    parts = [views(images[..., row : row + 32, column : column + 32], network).softmax(1) for row, column in places]
    torch.testing.assert_close(inferer(images, network).softmax(1), torch.stack(parts).mean(0), rtol=0, atol=1e-6)


def test_images_are_read_at_the_largest_scale():
    assert find_read_size(224, 2, [1, 1.15, 1.3]) == [291, 291]
    assert find_read_size(64, 3, [1]) == [64, 64, 64]


@pytest.mark.parametrize("scales", [[], [0.5, 1]])
def test_scales_that_are_none(scales):
    with pytest.raises(UserError, match=r"--scales \[.*: give numbers from 1"):
        AverageScales(scales, 32, "softmax")


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 9, 64)])
def test_images_that_were_not_read_for_the_scales(network, shape):
    with pytest.raises(UserError, match="--scales: need images of 64 pixels along each axis, not "):
        AverageScales([1, 2], 32, "softmax")(torch.zeros(shape), network)
