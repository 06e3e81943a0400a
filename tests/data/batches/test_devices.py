"""Batches on other devices: on a GPU where there is one, everywhere on ``meta``, which computes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from medmamba_monai.data import BatchLoader, TransformedDataset, cached_dataset, transformed_dataset
from medmamba_monai.data.cache.device import DeviceCacheDataset
from medmamba_monai.images import (
    ConvertImaged,
    RandomAdjustContrastd,
    RandomAffined,
    RandomFlipd,
    RandomRotate90d,
    RandomScaleIntensityd,
    RandomShiftIntensityd,
)
from medmamba_monai.images.transforms import ToUint8d

COUNT = 10
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def make_data(dims: int) -> list[dict[str, Any]]:
    shape = (COUNT, 1, *[12] * dims)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return [{"id": f"{n}", "image": image, "label": n % 2} for n, image in enumerate(images)]


def make_transform(dims: int) -> list[Any]:
    return [
        ConvertImaged("image", 3),
        RandomFlipd(0.5, 1),
        RandomRotate90d(0.5),
        RandomAffined(0.8, [0.2] * (1 if dims == 2 else 3), [1] * dims, [0.1] * dims),
        RandomAdjustContrastd(0.5, (0.8, 1.25)),
        RandomScaleIntensityd(0.1, 0.5),
        RandomShiftIntensityd(0.1, 0.5),
    ]


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_of_a_batch_is_left_on_the_cpu(dims: int) -> None:
    data, meta = make_data(dims), torch.device("meta")
    kept = cached_dataset(data, ToUint8d("image"), "gpu", device=meta, device_available=1 << 20)
    loader = BatchLoader(TransformedDataset(kept, make_transform(dims)), meta, num_workers=2, batch_size=4)
    assert loader.num_workers == 0
    batches = list(loader)
    assert [batch["image"].shape[0] for batch in batches] == [4, 4, 2]
    assert {(batch["image"].device, batch["image"].dtype, batch["label"].device) for batch in batches} == {
        (meta, torch.float32, meta)
    }
    assert [name for batch in batches for name in batch["id"]] == [f"{n}" for n in range(COUNT)]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache", ["auto", "memory", "none"])
@pytest.mark.parametrize("tf32", [False, True])
def test_a_gpu_gives_the_images_of_the_cpu(
    dims: int, workers: int, cache: str, tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", tf32)
    gpu = torch.device("cuda")
    found = {}
    for device, chosen in ((torch.device("cpu"), "memory"), (gpu, cache)):
        dataset = transformed_dataset(
            make_data(dims), ToUint8d("image"), make_transform(dims), cache=chosen, device=device
        )
        assert isinstance(dataset.data, DeviceCacheDataset) == (chosen == "auto")
        batches = list(BatchLoader(dataset, device, batch_size=4, num_workers=workers))
        assert all(batch["image"].device.type == device.type for batch in batches)
        found[device.type] = torch.cat([batch["image"].cpu() for batch in batches])
        assert torch.cat([batch["label"].cpu() for batch in batches]).tolist() == [0, 1] * (COUNT // 2)
        torch.testing.assert_close(dataset[3]["image"], found[device.type][3], rtol=0, atol=1e-4)
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=0, atol=1e-4)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_converts_bit_by_bit_as_the_cpu() -> None:
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    convert = ConvertImaged("image", 3).convert
    assert torch.equal(convert.scale(image.cuda()).cpu(), convert.scale(image))
    np.testing.assert_array_equal(convert.repeat_channels(convert.scale(image.cuda())).cpu(), convert(image[0])[None])
