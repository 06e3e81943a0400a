"""Deletion and insertion against what they are by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.explain.curves import blur_image, compute_area, compute_curves, rank_pixels


def corner(images: Tensor) -> Tensor:
    """A class that is as probable as the first pixel is bright."""
    probability = images[:, 0, 0, 0]
    return torch.stack([1 - probability, probability], 1)


def picture() -> Tensor:
    image = torch.zeros(1, 8, 8)
    image[0, 0, 0] = 1.0
    return image


def test_a_map_of_the_pixel_that_decides_deletes_it_first() -> None:
    image = picture()
    faint = float(blur_image(image)[0, 0, 0])
    found = compute_curves(corner, image, image[0].numpy(), 1, steps=4)
    np.testing.assert_allclose(found.deletion, [1, faint, faint, faint, faint], rtol=1e-6)
    np.testing.assert_allclose(found.insertion, [faint, 1, 1, 1, 1], rtol=1e-6)
    assert found.score == pytest.approx((1 - faint) * 3 / 4, rel=1e-6)
    other = compute_curves(corner, image, image[0].numpy(), 0, steps=4)
    np.testing.assert_allclose(other.deletion, 1 - found.deletion, atol=1e-7)


def test_a_map_turned_round_deletes_it_last() -> None:
    image = picture()
    found = compute_curves(corner, image, -image[0].numpy(), 1, steps=4)
    np.testing.assert_allclose(found.deletion[:-1], 1)
    assert found.score == pytest.approx(-(1 - float(blur_image(image)[0, 0, 0])) * 3 / 4, rel=1e-6)


def test_ties_go_in_an_order_that_is_drawn_once() -> None:
    ranks = rank_pixels(np.zeros((4, 4)))
    assert sorted(ranks.ravel()) == list(range(16))
    assert not np.array_equal(ranks.ravel(), np.arange(16))
    assert np.array_equal(ranks, rank_pixels(np.ones((4, 4))))
    assert rank_pixels(np.array([[1.0, 3.0], [2.0, -1.0]])).tolist() == [[2, 0], [1, 3]]


def test_volumes_have_curves_as_well() -> None:
    volume = torch.rand(1, 4, 4, 4)
    found = compute_curves(lambda x: x.flatten(1).mean(1, keepdim=True), volume, volume[0].numpy(), 0, steps=2)
    assert found.deletion[0] == pytest.approx(float(volume.mean()))
    assert found.insertion[-1] == pytest.approx(float(volume.mean()))


def test_areas_are_those_of_the_trapezoid_rule() -> None:
    assert compute_area(np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert compute_area(np.array([0.0, 1.0, 1.0])) == pytest.approx(0.75)


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match=r"a map of \(4, 4\) does not fit an image of \(8, 8\)"):
        compute_curves(corner, picture(), np.zeros((4, 4)), 1)
