from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import RandomBlurd, RandomErased

SHAPES = [(9, 7), (6, 5, 7)]
INDICES = np.arange(12)


def make_images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand((len(INDICES), 2, *shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_blurred_images_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    step, before = RandomBlurd(0.5, (0.4, 1.5)), make_images(shape)
    kept = before.clone()
    changed, numbers = step.draw(INDICES)
    assert 0 < changed.sum() < len(INDICES)
    after = step.apply(before, INDICES)
    for image, found, applied, number in zip(before, after, changed, numbers[:, 0], strict=True):
        sigma = 0.4 + 1.1 * number
        right = [ndimage.gaussian_filter(channel, sigma, mode="nearest") for channel in image.numpy()]
        np.testing.assert_allclose(found, np.stack(right) if applied else image, rtol=0, atol=1e-6)
    assert torch.equal(before, kept)


def test_a_batch_of_which_none_is_blurred_stays() -> None:
    before = make_images((5, 5))
    assert torch.equal(RandomBlurd(0.0).apply(before, INDICES), before)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_of_an_image_is_covered_with_its_mean(shape: tuple[int, ...]) -> None:
    step, before = RandomErased(0.5, (0.2, 0.6)), make_images(shape)
    changed, _ = step.draw(INDICES)
    after = step.apply(before, INDICES)
    for image, found, applied in zip(before, after, changed, strict=True):
        covered = (found != image).numpy()
        assert covered.any() == applied
        if applied:
            assert np.array_equal(covered[0], covered[1])  # the channels alike
            sides = [
                np.flatnonzero(covered[0].any(tuple(n for n in range(len(shape)) if n != a))) for a in range(len(shape))
            ]
            for side, size in zip(sides, shape, strict=True):
                assert round(0.2 * size) <= len(side) <= round(0.6 * size)
            assert covered[0].sum() == np.prod([len(side) for side in sides])  # a full box
            torch.testing.assert_close(found[torch.from_numpy(covered)].unique(), image.mean()[None])


def test_boxes_reach_every_place() -> None:
    step, images = RandomErased(1.0, (0.3, 0.3)), make_images((10, 10))[:1].expand(400, -1, -1, -1)
    covered = step.apply(images, np.arange(400)) != images
    share = covered[:, 0].float().mean(0)
    assert share.min() > 0  # corners, which few boxes reach
    assert share.max() < 0.3  # the middle, which a tenth to a quarter of them reach


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomBlurd(0.5, (0, 2)), r"sigma must be above 0, found \(0, 2\)"),
        (lambda: RandomErased(0.5, (0.1, 1.5)), r"extent must be in \(0, 1\], found \(0.1, 1.5\)"),
    ],
)
def test_what_is_no_option_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()
