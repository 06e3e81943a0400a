from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import (
    ConvertImaged,
    RandomAdjustContrastd,
    RandomAffined,
    RandomFlipd,
    RandomRotate90d,
    RandomShiftIntensityd,
)
from medmamba_monai.images.augment.draws import Draws
from medmamba_monai.images.augment.pipeline import BatchPipeline
from medmamba_monai.images.augment.step import INDEX

FLAT = torch.randint(0, 256, (10, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DEEP = torch.randint(0, 256, (10, 1, 6, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def make_pipeline(dims: int, seed: int = 5) -> BatchPipeline:
    angles = [0.2] * (1 if dims == 2 else 3)
    steps: list[Any] = [
        ConvertImaged("image", 3),
        RandomFlipd(0.5, 0),
        RandomRotate90d(0.5),
        RandomAffined(0.8, angles, [1] * dims, [0.1] * dims),
        RandomAdjustContrastd(0.5, (0.8, 1.25)),
        RandomShiftIntensityd(0.1, 0.5),
    ]
    for number, step in enumerate(steps[1:]):
        step.reseed(seed, number)
    return BatchPipeline(steps)


@pytest.mark.parametrize("before", [FLAT, DEEP])
@pytest.mark.parametrize("order", [[range(10)], [range(4), range(4, 10)], [[n] for n in range(9, -1, -1)]])
def test_an_image_is_changed_alike_in_any_batch(before: torch.Tensor, order: list[Any]) -> None:
    pipeline = make_pipeline(before.ndim - 2)
    expected = pipeline(before, np.arange(10))
    for indices in map(list, order):
        found = make_pipeline(before.ndim - 2)(before[indices], np.array(indices))
        torch.testing.assert_close(found, expected[indices], rtol=0, atol=1e-6)


def test_an_item_is_changed_as_in_a_batch() -> None:
    pipeline = make_pipeline(2)
    expected = pipeline(FLAT, np.arange(10))[7]
    item: dict[Any, Any] = {"image": FLAT[7], "label": 1, INDEX: 7}
    for step in pipeline.steps:
        item = step(item)
    torch.testing.assert_close(item["image"], expected, rtol=0, atol=5e-5)
    assert item["label"] == 1


def test_channels_are_those_of_the_converted_image_and_alike() -> None:
    found = make_pipeline(2)(FLAT, np.arange(10))
    assert (found.shape, found.dtype, type(found)) == ((10, 3, 12, 12), torch.float32, torch.Tensor)
    assert torch.equal(found[:, 0], found[:, 2])
    conversion = ConvertImaged("image", 3)
    alone = BatchPipeline([conversion])(FLAT, np.arange(10))
    assert torch.equal(alone, torch.stack([conversion({"image": image})["image"] for image in FLAT]))


def test_another_seed_and_another_stream_draw_otherwise() -> None:
    first, again, other, stream = (Draws(2) for _ in range(4))
    for draws, source in ((first, (1, 0)), (again, (1, 0)), (other, (2, 0)), (stream, (1, 1))):
        draws.reseed(*source)
    rows = np.arange(50)
    np.testing.assert_array_equal(first.take(rows), again.take(rows))
    assert not np.isclose(first.take(rows), other.take(rows)).any()
    assert not np.isclose(first.take(rows), stream.take(rows)).any()


@pytest.mark.parametrize("order", [[[3], [100_000], [3, 99]], [[99], [3]]])
def test_the_numbers_of_an_image_depend_on_no_other(order: list[list[int]]) -> None:
    whole = np.random.default_rng((7, 2)).random((100_001, 3))
    draws = Draws(3)
    draws.reseed(7, 2)
    for indices in order:
        np.testing.assert_array_equal(draws.take(np.array(indices)), whole[indices])


def test_a_step_travels_to_a_worker_without_its_table() -> None:
    step = RandomFlipd(0.5)
    step.reseed(3, 1)
    before, _ = step.draw(np.arange(100_000))
    sent = pickle.dumps(step)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).draw(np.arange(100_000))[0], before)


def test_an_item_without_its_number_is_refused() -> None:
    with pytest.raises(UserError, match="RandomFlipd: needs items with 'index_in_dataset'"):
        RandomFlipd(0.5)({"image": torch.zeros(1, 2, 2)})
