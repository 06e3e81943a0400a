from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader, Dataset
from monai.transforms import Compose, EnsureTyped, Lambdad, RandGaussianNoised, RepeatChanneld, ScaleIntensityRanged
from monai.utils import set_determinism
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.cache.dataset import ITEM_OVERHEAD, cached_dataset
from medmamba_monai.data.cache.memory_map import MemoryMappedDataset
from medmamba_monai.images.transforms import ReadImaged, ResizeImaged

READING = Compose([ReadImaged("image", channels=1), ResizeImaged("image", (8, 8))])
CONVERSION = [
    RepeatChanneld("image", 3),
    ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=-1.0, b_max=1.0, clip=True),
    EnsureTyped("image", dtype=torch.float32, track_meta=False),
]
TOTAL = 6 * (64 + ITEM_OVERHEAD)
CHOICES = ["memory", "disk", "none", 0.5]


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(generator.integers(0, 256, (10, 12), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    return [{"id": f"{n}", "image": str(tmp_path / f"{n}.png"), "label": n % 2, "row": n} for n in range(6)]


@pytest.fixture
def make(data: list[dict[str, Any]], tmp_path: Path):
    def make(cache: Any, **changes: Any) -> Dataset:
        options = {"directory": tmp_path / "stores", "identity": "x"} | changes
        return cached_dataset(data, options.pop("transform", READING), cache, **options)

    return make


@pytest.fixture
def line(caplog: pytest.LogCaptureFixture):
    """The one line of the log."""
    caplog.set_level(logging.INFO, "medmamba_monai.data")

    def line() -> str:
        (record,) = caplog.records
        return record.getMessage()

    return line


def images(dataset: Any) -> torch.Tensor:
    return torch.stack([dataset[index]["image"] for index in range(len(dataset))])


def test_what_fits_is_kept_in_memory(make, line) -> None:
    dataset = make("auto", available=2 * TOTAL)
    assert isinstance(dataset, CacheDataset)
    assert dataset.cache_num == 6
    assert line() == "train: 6 images of 2.1 KiB are 12.4 KiB, within 50% of the 24.8 KiB of memory available: " + (
        "all are kept in memory"
    )


def test_what_does_not_fit_is_kept_on_disk(make, line, tmp_path: Path) -> None:
    dataset = make("auto", num_rows=9, name="validation", available=2 * TOTAL - 12)
    assert isinstance(dataset, MemoryMappedDataset)
    assert line().startswith("validation: 6 images of 2.1 KiB are 12.4 KiB, more than 50% of the 24.7 KiB of memory")
    assert line().endswith(f"available: a memory-mapped store in {tmp_path / 'stores'}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": ""}, "no identity says which images they are"),
        ({"transform": [READING, EnsureTyped("image", dtype=torch.float32)]}, "they are no uint8 tensors"),
        ({"transform": [READING, Lambdad("image", torch.clone)]}, "Lambdad does not tell its options: give it"),
        ({"directory": Path(__file__)}, "test_dataset.py cannot be written; free space, or name another folder"),
        ({"num_rows": 2**50}, "are free; free space, or name another folder in MEDMAMBA_CACHE_DIR"),
    ],
)
def test_what_fits_nowhere_is_kept_in_part(make, line, change: dict[str, Any], reason: str) -> None:
    dataset = make("auto", available=TOTAL, **change)
    assert isinstance(dataset, CacheDataset)
    assert dataset.cache_num == (2 if "uint8" in reason else 3)
    assert reason in line()
    assert line().endswith("% of them are kept in memory, the others are decoded in every epoch")


@pytest.mark.parametrize(
    ("cache", "kind", "said"),
    [
        ("memory", CacheDataset, "100% of them are kept in memory, as chosen"),
        (1, CacheDataset, "100% of them are kept in memory, as chosen"),
        (0.5, CacheDataset, "50% of them are kept in memory, as chosen"),
        ("disk", MemoryMappedDataset, "a memory-mapped store in .*, as chosen"),
    ],
)
def test_what_is_chosen_is_done(make, line, cache: Any, kind: type, said: str) -> None:
    assert isinstance(make(cache), kind)
    assert line().startswith("train: 6 images of 2.1 KiB are 12.4 KiB: ")
    assert re.search(said, line())


@pytest.mark.parametrize("cache", ["none", 0, 0.0])
def test_nothing_is_kept(make, cache: Any) -> None:
    assert type(make(cache)) is Dataset


def test_nothing_to_keep_is_no_error() -> None:
    assert len(cached_dataset([], READING, "disk")) == 0


@pytest.mark.parametrize(
    ("cache", "change", "said"),
    [
        ("memory", {}, "cache 'memory': .* are 12.4 KiB, but 6.2 KiB of memory are available; choose 'disk', 'auto', "),
        (0.6, {"identity": ""}, "cache 0.6: .*; choose 'auto', 'none' or a number up to 0.5$"),
        ("disk", {"identity": ""}, "cache 'disk': .*, but no identity says which images they are; choose 'auto'"),
        ("disk", {"num_rows": 2**50}, "cache 'disk': .*, but all 1,125,899,906,842,624 need .* GiB in .*stores, where"),
        ("disc", {}, "--cache 'disc': give auto, gpu, memory, disk, none or a number from 0 to 1"),
        (1.5, {}, "--cache 1.5: give"),
        (True, {}, "--cache True: give"),
        ("auto", {"memory_share": 0}, "memory_share: must be above 0 and at most 1, found 0"),
    ],
)
def test_what_is_impossible_is_refused(make, cache: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(cache, available=TOTAL // 2, **change)


@pytest.mark.parametrize("cache", CHOICES)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_network_gets_the_same_images_from_each(make, data, cache: Any, workers: int) -> None:
    expected = images(Dataset(data, Compose([READING, *CONVERSION])))
    around = Dataset(make(cache), CONVERSION)
    for _ in range(2):
        batches = list(DataLoader(around, batch_size=4, num_workers=workers))
        found = torch.cat([batch["image"] for batch in batches])
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
    assert [label for batch in batches for label in batch["label"].tolist()] == [0, 1] * 3


@pytest.mark.parametrize("cache", CHOICES)
def test_slices_of_a_dataset_around_it(make, data, cache: Any) -> None:
    around = Dataset(make(cache), CONVERSION)
    assert torch.equal(images(around[4:]), images(around)[4:])
    assert torch.equal(images(around[[1, 5]]), images(around)[[1, 5]])
    assert torch.equal(around[-1]["image"], around[5]["image"])


@pytest.mark.parametrize("cache", CHOICES)
def test_what_is_kept_is_not_changed_in_place(make, cache: Any) -> None:
    dataset = make(cache)
    before = images(dataset)
    images(Dataset(dataset, CONVERSION))
    for index in range(6):
        dataset[index]["image"].zero_()
    assert torch.equal(images(dataset), before)


@pytest.mark.parametrize("cache", CHOICES)
@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_around_it_follow_the_seed(make, cache: Any, workers: int) -> None:
    dataset = make(cache)

    def epoch(seed: int) -> torch.Tensor:
        set_determinism(seed)
        around = Dataset(dataset, [*CONVERSION, RandGaussianNoised("image", prob=1.0)])
        loader = DataLoader(around, batch_size=4, shuffle=True, num_workers=workers)
        found = torch.cat([batch["image"] for batch in loader])
        set_determinism(None)
        return found

    first = epoch(1)
    assert torch.equal(epoch(1), first)
    assert not torch.equal(epoch(2), first)


def test_an_option_that_a_bundle_overrides_is_another_store(data, tmp_path: Path) -> None:
    reading = {"_target_": "medmamba_monai.images.ReadImaged", "keys": "image", "channels": 1, "clip": True}
    found = []
    for intensity_range in ([0, 255], [100, 150]):
        parser = ConfigParser({"reading": {"_target_": "Compose", "transforms": [reading]}})
        parser.update({"reading#transforms#0#intensity_range": intensity_range})
        options = {"directory": tmp_path / "stores", "identity": "x"}
        found.append(images(cached_dataset(data, parser.get_parsed_content("reading"), "disk", **options)))
    assert len(list((tmp_path / "stores").glob("*/images.npy"))) == 2
    assert (found[0] != found[1]).any()


def test_a_store_of_another_user_is_an_obstacle(make, line, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    make("disk")
    caplog.clear()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert isinstance(make("auto", available=TOTAL), CacheDataset)
    assert "belongs to another user" in line()


def test_the_default_folder_is_that_of_the_caches(data, line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDMAMBA_CACHE_DIR", str(tmp_path / "cache"))
    cached_dataset(data, READING, "disk", identity="x")
    assert len(list((tmp_path / "cache" / "images").glob("*/images.npy"))) == 1
