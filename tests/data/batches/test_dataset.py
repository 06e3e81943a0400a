from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, EnsureTyped, RandFlipd, RandGaussianNoised, RandSpatialCropSamplesd
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import BatchLoader, TransformedDataset, transformed_dataset
from medmamba_monai.data.batches.columns import Columns
from medmamba_monai.data.batches.split import split_transform
from medmamba_monai.data.cache.dataset import cached_dataset
from medmamba_monai.data.cache.device import DeviceCacheDataset
from medmamba_monai.images import ConvertImaged, RandomAffined, RandomFlipd, RandomShiftIntensityd
from medmamba_monai.images.transforms import ReadImaged, ResizeImaged

READING = Compose([ReadImaged("image", channels=1), ResizeImaged("image", (8, 8))])
PREPROCESSING = [
    ConvertImaged("image", 3),
    EnsureTyped("label", dtype=torch.float32, track_meta=False, allow_missing_keys=True),
]
AUGMENTATION = [RandomFlipd(0.5, 1), RandomAffined(0.8, [0.2], [2, 2], [0.1, 0.1]), RandomShiftIntensityd(0.2, 0.5)]
CACHES = ["memory", "disk", "none", 0.5, "device"]
CPU = torch.device("cpu")
COUNT = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Items as a fold list of several labels gives them."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(generator.integers(0, 256, (10, 12), dtype=np.uint8)).save(folder / f"{number}.png")
    return [
        {"id": f"n{n}", "image": str(folder / f"{n}.png"), "label": np.array([n % 2, 1]), "row": n, "part": "test"}
        for n in range(COUNT)
    ]


@pytest.fixture
def make(data: list[dict[str, Any]], tmp_path: Path) -> Callable[..., TransformedDataset]:
    def make(cache: Any, transform: Any) -> TransformedDataset:
        if cache == "device":
            return TransformedDataset(DeviceCacheDataset(data, READING, CPU), transform)
        return transformed_dataset(
            data, READING, transform, cache=cache, directory=tmp_path / "stores", identity="x", num_rows=COUNT
        )

    return make


def load(dataset: TransformedDataset, **options: Any) -> dict[str, Any]:
    """Return the batches of an epoch as one."""
    batches = list(BatchLoader(dataset, batch_size=options.pop("batch_size", 4), **options))
    return {
        key: torch.cat([batch[key] for batch in batches])
        if isinstance(value, torch.Tensor)
        else [entry for batch in batches for entry in batch[key]]
        for key, value in batches[0].items()
    }


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("workers", [0, 1])
def test_without_random_transforms_each_cache_gives_what_monai_would(
    make: Any, data: list[dict[str, Any]], cache: Any, workers: int
) -> None:
    expected = next(iter(DataLoader(Dataset(data, Compose([READING, *PREPROCESSING])), batch_size=COUNT)))
    found = load(make(cache, PREPROCESSING), num_workers=workers)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[key], value)
            assert (found[key].dtype, found[key].stride()) == (value.dtype, value.stride())
        else:
            assert found[key] == value


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (0, 4), (1, 3)])
def test_an_image_is_changed_alike_whatever_loads_it(make: Any, cache: Any, workers: int, batch_size: int) -> None:
    expected = load(make("none", [*PREPROCESSING, *AUGMENTATION]), batch_size=COUNT)["image"]
    found = load(make(cache, [*PREPROCESSING, *AUGMENTATION]), num_workers=workers, batch_size=batch_size)["image"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cache", CACHES)
def test_an_item_is_what_a_batch_holds(make: Any, cache: Any) -> None:
    dataset = make(cache, [*PREPROCESSING, *AUGMENTATION])
    batch = load(dataset)
    for index in (0, 5, -1):
        item = dataset[index]
        assert set(item) == set(batch)
        assert item["id"] == batch["id"][index]
        torch.testing.assert_close(item["image"], batch["image"][index], rtol=0, atol=1e-6)
    assert [item["id"] for item in dataset] == batch["id"]


def test_what_is_kept_is_not_changed(make: Any) -> None:
    dataset = make("device", PREPROCESSING)
    before = dataset.data.images.clone()
    load(dataset)["image"].zero_()
    dataset[0]["image"].zero_()
    dataset.data[0]["image"].zero_()
    assert torch.equal(dataset.data.images, before)


def test_the_seed_decides(make: Any) -> None:
    dataset = make("memory", [*PREPROCESSING, *AUGMENTATION])
    found = []
    for seed in (1, 1, 2):
        dataset.reseed(seed)
        found.append(load(dataset)["image"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("workers", [0, 1])
def test_transforms_of_a_user_see_one_image_at_a_time(make: Any, workers: int) -> None:
    """They come between those of batches, and all are applied in their order."""
    shapes: list[Any] = []

    def look(item: dict[str, Any]) -> dict[str, Any]:
        shapes.append(item["image"].shape)
        return {**item, "image": item["image"] * 2}

    plain = load(make("memory", [*PREPROCESSING, *AUGMENTATION]))["image"]
    found = load(make("memory", [*PREPROCESSING, *AUGMENTATION, look]), num_workers=workers)
    assert set(shapes) == (set() if workers else {(3, 8, 8)})
    torch.testing.assert_close(found["image"], 2 * plain, rtol=0, atol=1e-5)
    assert found["label"].dtype == torch.float32


def test_a_transform_that_makes_several_images_of_one(make: Any) -> None:
    crop = RandSpatialCropSamplesd("image", roi_size=(4, 4), num_samples=2, random_size=False)
    shift = RandomShiftIntensityd((1.0, 3.0), 1.0)
    batch = load(make("memory", [*PREPROCESSING, crop, shift]))
    assert batch["image"].shape == (2 * COUNT, 3, 4, 4)
    assert batch["id"] == [f"n{n}" for n in range(COUNT) for _ in range(2)]
    means = batch["image"].mean((1, 2, 3))
    assert means.min() > 0
    assert len(make("memory", [*PREPROCESSING, crop, shift])[0]) == 2


@pytest.mark.parametrize(
    ("parts", "items", "fields", "batches"),
    [
        ([], [], [], []),
        (PREPROCESSING, [], ["EnsureTyped"], ["ConvertImaged"]),
        ([PREPROCESSING, Compose(AUGMENTATION[:1])], [], ["EnsureTyped"], ["ConvertImaged", "RandomFlipd"]),
        ([READING, PREPROCESSING[0]], ["ReadImaged", "ResizeImaged"], [], ["ConvertImaged"]),
        ([PREPROCESSING, RandFlipd("image")], ["ConvertImaged", "EnsureTyped", "RandFlipd"], [], []),
        (
            [PREPROCESSING[0], EnsureTyped("image"), AUGMENTATION[0]],
            ["ConvertImaged", "EnsureTyped"],
            [],
            ["RandomFlipd"],
        ),
        ([ConvertImaged(["image", "mask"], 3)], ["ConvertImaged"], [], []),
    ],
)
def test_a_transform_is_split_after_what_needs_one_image(parts: Any, items: Any, fields: Any, batches: Any) -> None:
    split = split_transform(parts)
    names = [[type(part).__name__ for part in group] for group in (split.fields.transforms, split.batches.steps)]
    assert [split.slow_parts, *names] == [items, fields, batches]


def test_columns_of_items_that_differ_are_put_together_batch_by_batch() -> None:
    columns = Columns([{"id": "a", "label": 1, "size": (1, 2)}, {"id": "b", "label": 0}, {"id": "c", "label": 2}])
    taken = columns.take([1, 2])
    assert (taken["id"], taken["label"].tolist()) == (["b", "c"], [0, 2])
    alike = Columns([{"id": "a", "size": (1, 2), "score": 0.5}, {"id": "b", "size": (3, 4), "score": 1.5}])
    taken = alike.take([1, 0])
    assert (taken["id"], [part.tolist() for part in taken["size"]]) == (["b", "a"], [[3, 1], [4, 2]])
    assert torch.equal(taken["score"], torch.tensor([1.5, 0.5], dtype=torch.float64))


def test_the_order_of_images_is_that_of_new_workers(make: Any) -> None:
    """Workers live on where nothing random is done in them; a training that is resumed begins with new ones."""
    dataset = make("memory", PREPROCESSING)
    loader = BatchLoader(dataset, batch_size=2, shuffle=True, num_workers=1)
    fresh = DataLoader(dataset.data, batch_size=2, shuffle=True, num_workers=1)
    assert loader.persistent_workers
    orders: list[list[Any]] = [[], []]
    for made, found in zip((loader, fresh), orders, strict=True):
        torch.manual_seed(3)
        for _ in range(2):
            found.append([batch["id"] for batch in made])
            found.append(torch.rand(()).item())
    assert orders[0] == orders[1]


def test_workers_with_random_transforms_of_monai_do_not_live_on(make: Any) -> None:
    noisy = make("memory", [*PREPROCESSING, RandGaussianNoised("image")])
    assert not BatchLoader(noisy, batch_size=2, num_workers=1).persistent_workers
    assert BatchLoader(make("none", AUGMENTATION), batch_size=2, num_workers=1).persistent_workers


def test_another_shape_names_the_image(data: list[dict[str, Any]]) -> None:
    def cut(item: dict[str, Any]) -> dict[str, Any]:
        item = READING(item)
        return {**item, "image": item["image"][:, : 8 - (item["row"] == 4)]}

    with pytest.raises(UserError, match=r"n4: the image has the shape \(1, 7, 8\) and type torch.uint8, the first one"):
        DeviceCacheDataset(data, cut, CPU)


GPU = {"device": torch.device("meta"), "device_available": 100_000}


@pytest.mark.parametrize(
    ("cache", "change", "said"),
    [
        ("auto", {}, r"train: 6 images of 2.1 KiB are 12.5 KiB, within 25% of the 97.7 KiB free on meta: all are kept"),
        ("gpu", {"device_available": 13_000}, "12.5 KiB: all are kept on meta, as chosen"),
        ("auto", {"device_available": 13_000}, "memory available: all are kept in memory"),
    ],
)
def test_a_gpu_keeps_what_fits_there(
    data: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, cache: str, change: Any, said: str
) -> None:
    caplog.set_level(logging.INFO, "medmamba_monai.data")
    dataset = cached_dataset(data, READING, cache, **{**GPU, **change})
    (record,) = caplog.records
    assert said in record.getMessage()
    assert isinstance(dataset, DeviceCacheDataset) == ("memory available" not in said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": None, "device_available": None}, "cache 'gpu': .*, but the device is the CPU; choose"),
        ({"device": CPU, "device_available": None}, "cache 'gpu': .*, but the device is cpu; choose"),
        ({"device_available": 100}, "cache 'gpu': .*, but 100 bytes are free on meta; choose"),
    ],
)
def test_a_gpu_that_is_not_there_or_too_small_is_refused(data: Any, change: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        cached_dataset(data, READING, "gpu", **{**GPU, **change})
