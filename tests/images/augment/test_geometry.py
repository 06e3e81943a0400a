from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Affine, Compose, Flip, RandAffine, Rotate90

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import RandomAffined, RandomFlipd, RandomRotate90d
from medmamba_monai.images.augment.geometry import compose_affine, sample
from medmamba_monai.images.augment.pipeline import BatchPipeline

SHAPES = [(9, 9), (8, 11), (6, 6, 6), (5, 6, 7)]
TOLERANCE = 2e-5


def images(shape: tuple[int, ...], count: int = 5) -> torch.Tensor:
    return torch.rand((count, 2, *shape), generator=torch.Generator().manual_seed(0)) * 2 - 1


def parameters(count: int, dims: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    widths = {"rotate": (1 if dims == 2 else 3, 0.6), "translate": (dims, 2.0), "scale": (dims, 0.3)}
    return {name: generator.uniform(-most, most, (count, width)) for name, (width, most) in widths.items()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("padding_mode", ["border", "zeros", "reflection"])
def test_the_same_parameters_give_the_pixels_of_monai(shape: tuple[int, ...], padding_mode: Any) -> None:
    before, given = images(shape), parameters(5, len(shape))
    after = sample(before, compose_affine(given, len(shape)), padding_mode)
    for number, image in enumerate(before):
        monai = Affine(
            rotate_params=given["rotate"][number].tolist(),
            translate_params=given["translate"][number].tolist(),
            scale_params=(1 + given["scale"][number]).tolist(),
            padding_mode=padding_mode,
            image_only=True,
        )
        np.testing.assert_allclose(after[number], monai(image), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_is_that_of_monai(shape: tuple[int, ...]) -> None:
    before, indices = images(shape), np.arange(5)
    for axis in range(len(shape)):
        step = RandomFlipd(0.5, axis)
        changed, _ = step.draw(indices)
        expected = [Flip(axis)(image) if flipped else image for image, flipped in zip(before, changed, strict=True)]
        assert 0 < changed.sum() < 5
        np.testing.assert_allclose(step.apply(before, indices), torch.stack(expected), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("shape", "axes"), [((9, 9), (0, 1)), ((6, 6, 6), (1, 2)), ((5, 7, 5), (0, 2))])
def test_a_quarter_turn_is_that_of_monai(shape: tuple[int, ...], axes: tuple[int, int]) -> None:
    before, indices = images(shape, 12), np.arange(12)
    step = RandomRotate90d(0.7, spatial_axes=axes)
    changed, numbers = step.draw(indices)
    quarters = [int(1 + np.floor(3 * u)) if turned else 0 for turned, u in zip(changed, numbers[:, 0], strict=True)]
    assert set(quarters) == {0, 1, 2, 3}
    expected = [Rotate90(k, axes)(image) if k else image for k, image in zip(quarters, before, strict=True)]
    np.testing.assert_allclose(step.apply(before, indices), torch.stack(expected), rtol=0, atol=TOLERANCE)


def test_flips_turns_and_the_affine_are_one_sampling_of_what_monai_does_one_by_one() -> None:
    before, indices = images((9, 9), 6), np.arange(6)
    steps = [
        RandomFlipd(1.0, 0),
        RandomRotate90d(1.0, max_k=1),
        RandomAffined(1.0, rotate_range=[(0.3, 0.3)], scale_range=[(0.1, 0.1), (-0.2, -0.2)]),
    ]
    one_by_one = Compose(
        [Flip(0), Rotate90(1), Affine(0.3, scale_params=[1.1, 0.8], padding_mode="border", image_only=True)]
    )
    expected = torch.stack([one_by_one(image) for image in before])
    np.testing.assert_allclose(BatchPipeline(steps)(before, indices), expected, rtol=0, atol=TOLERANCE)


def test_what_is_not_changed_stays_the_image() -> None:
    before = images((64, 64))
    after = BatchPipeline([RandomFlipd(0.0), RandomAffined(0.0, [0.2], [3, 3], [0.1, 0.1])])(before, np.arange(5))
    np.testing.assert_allclose(after, before, rtol=0, atol=TOLERANCE)


def test_the_ranges_are_those_of_monai() -> None:
    """Over many images the extremes and the share of changed ones are the same."""
    count = 4000
    step = RandomAffined(0.8, [0.175], [(-1, 3), 2], [0.1, (0.0, 0.2)])
    monai = RandAffine(0.8, [0.175], None, [(-1, 3), 2], [0.1, (0.0, 0.2)]).set_random_state(0)
    changed, _ = step.draw(np.arange(count))
    found = []
    for _ in range(count):
        monai.randomize()
        grid = monai.rand_affine_grid
        grid.randomize()
        found.append([monai._do_transform, *grid.rotate_params, *grid.translate_params, *grid.scale_params])
    expected = np.array(found, float)
    drawn = step._spread(step.draw(np.arange(count))[1])
    ours = np.concatenate([drawn["rotate"], drawn["translate"], 1 + drawn["scale"]], 1)
    np.testing.assert_allclose(changed.mean(), expected[:, 0].mean(), atol=0.03)
    for statistic in (np.min, np.max, np.mean, np.std):
        np.testing.assert_allclose(statistic(ours, 0), statistic(expected[:, 1:], 0), atol=0.08)


@pytest.mark.parametrize("prob", [0.0, 0.3, 1.0])
def test_as_many_are_changed_as_chosen(prob: float) -> None:
    np.testing.assert_allclose(RandomFlipd(prob).draw(np.arange(4000))[0].mean(), prob, atol=0.03)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomFlipd(1.5), "RandomFlipd: prob must be a number from 0 to 1, found 1.5"),
        (lambda: RandomAffined(rotate_range=["a"]), "RandomAffined: rotate_range: give a number or a pair of numbers"),
        (lambda: RandomAffined(padding_mode="edge"), "padding_mode 'edge': choose border, zeros or reflection"),
    ],
)
def test_what_is_no_option_is_refused(make: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize(
    ("step", "shape", "said"),
    [
        (RandomRotate90d(1.0), (8, 9), "a quarter turn needs equal sides"),
        (RandomAffined(1.0, [0.1]), (5, 5, 5), "rotate_range has 1 ranges, images have 3 axes"),
        (RandomAffined(1.0, scale_range=[0.1]), (5, 5), "scale_range has 1 ranges, images have 2 axes"),
        (RandomFlipd(1.0, 2), (5, 5), "spatial_axis 2, but images have 2 axes"),
    ],
)
def test_images_of_other_axes_are_refused(step: Any, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        step.apply(images(shape), np.arange(5))
