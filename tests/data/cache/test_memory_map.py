from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Callable, Hashable, Mapping
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.cache.memory_map import MemoryMappedDataset, RowStore
from medmamba_monai.images.transforms import ReadImaged, ResizeImaged
from tests.helpers.row_stores import SHAPE, Draw, check_all, file_of, items, make, picture
from tests.helpers.warm_commands import warm_context


class Give:
    """Puts what is made of an item's number in its place."""

    def __init__(self, make_image: Callable[[int], Any]) -> None:
        self.make_image = make_image

    def __repr__(self) -> str:
        return "Give()"

    def __call__(self, item: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**item, "image": self.make_image(item["image"])}


def test_every_image_is_decoded_once(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path, draw)
    check_all(dataset)
    assert draw.count() == 9, "the first one twice: it tells the shape"
    check_all(dataset)
    assert draw.count() == 9


def test_items_keep_their_other_entries(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path, draw)
    for _ in range(2):
        item = dataset[3]
        assert {key: item[key] for key in item if key != "image"} == {"id": "n3", "label": 1, "row": 3}


def test_tensors_are_plain_and_the_callers_own(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path, draw)
    for _ in range(3):
        image = dataset[0]["image"]
        assert type(image) is torch.Tensor
        image.zero_()
    assert torch.equal(dataset[0]["image"], picture(0))


def test_parts_and_folds_share_one_store(tmp_path: Path, draw: Draw) -> None:
    check_all(make(tmp_path, draw))
    before = draw.count()
    for part in (range(2, 5), range(4, 8), range(7, -1, -1)):
        dataset = make(tmp_path, draw, part)
        before += 1  # its first image, for the shape
        check_all(dataset)
        assert draw.count() == before
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_making_a_dataset_touches_no_disk_and_its_store_is_made_when_first_needed(tmp_path: Path, draw: Draw) -> None:
    dataset = MemoryMappedDataset(items(range(8)), draw, tmp_path / "stores", identity="folds 1")
    assert not (tmp_path / "stores").exists()
    assert not draw.log.exists()
    check_all(dataset)
    assert file_of(dataset).is_file()


def test_without_rows_the_positions_count(tmp_path: Path, draw: Draw) -> None:
    data = [{"image": number} for number in range(3)]
    dataset = MemoryMappedDataset(data, draw, tmp_path, identity="x")
    assert torch.equal(dataset[-1]["image"], dataset[2]["image"])
    assert [len(part) for part in (dataset, dataset[1:])] == [3, 2]
    assert torch.equal(dataset[1:][0]["image"], picture(1))


@pytest.mark.parametrize("change", [{"identity": "folds 2"}, {"num_rows": 9}])
def test_another_identity_is_another_store(tmp_path: Path, draw: Draw, change: dict[str, Any]) -> None:
    assert file_of(make(tmp_path, draw)) != file_of(make(tmp_path, draw, **change))


def test_other_options_of_the_transform_are_another_store(tmp_path: Path, draw: Draw) -> None:
    class DrawDarker(Draw):
        def __repr__(self) -> str:
            return "Draw(darker)"

    assert file_of(make(tmp_path, draw)) != file_of(make(tmp_path, DrawDarker(draw.log)))


def test_a_transform_that_does_not_tell_its_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="<lambda> does not tell its options: give it a __repr__"):
        make(tmp_path, lambda item: item)


def test_only_its_owner_can_read_a_store(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path, draw)
    dataset.store.folder.chmod(0o755)
    make(tmp_path, draw)
    assert stat.S_IMODE(dataset.store.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file_of(dataset, name).stat().st_mode) for name in ("images.npy", "checksums.npy")} == {0o600}


def test_a_store_of_another_user_is_refused(tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, draw)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UserError, match=r"belongs to another user \(number \d+\); name another folder"):
        make(tmp_path, draw)


@pytest.mark.parametrize("context", [get_context("fork"), warm_context()], ids=["fork", "another process"])
def test_workers_fill_the_store(tmp_path: Path, context: BaseContext) -> None:
    for number in range(4):
        image = np.full((6, 6), 40 * number, np.uint8)
        np.savez(tmp_path / f"{number}.npz", images=image[None])
    data = [{"id": str(n), "image": f"{tmp_path}/{n}.npz#images[0]", "row": n} for n in range(4)]
    transform = Compose([ReadImaged("image", channels=1), ResizeImaged("image", (3, 3))])
    dataset = MemoryMappedDataset(data, transform, tmp_path / "stores", identity="x").open()
    loader = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context=context)
    batches = [batch["image"] for batch in loader]
    assert torch.equal(torch.cat(batches)[:, 0, 1, 1], torch.tensor([0, 40, 80, 120], dtype=torch.uint8))
    for path in tmp_path.glob("*.npz"):
        path.unlink()
    assert [int(dataset[index]["image"].max()) for index in range(4)] == [0, 40, 80, 120]


def test_a_store_can_be_pickled_before_and_after_its_use(tmp_path: Path) -> None:
    store = RowStore(tmp_path, "x", 2, (3,)).open()
    store.write(1, np.array([1, 2, 3], np.uint8), 5)
    assert store.read(1, 5) is not None
    again = pickle.loads(pickle.dumps(store))
    assert again.read(1, 5).tolist() == [1, 2, 3]
    assert again.read(1, 6) is None


def test_a_store_says_what_it_holds_and_takes_room_as_it_is_filled(tmp_path: Path) -> None:
    assert RowStore.missing_bytes(tmp_path, "folds 1", 100, (1000, 1000)) == 100 * 1_000_008
    store = RowStore(tmp_path, "folds 1", 100, (1000, 1000)).open()
    assert '"identity": "folds 1"' in (store.folder / "store.json").read_text()
    assert RowStore.missing_bytes(tmp_path, "folds 1", 100, (1000, 1000)) > 99_000_000


def test_a_store_that_does_not_fit_is_refused(tmp_path: Path, draw: Draw) -> None:
    with pytest.raises(UserError, match=r"the store of decoded images needs .* GiB in .*, where .* are free"):
        make(tmp_path, draw, num_rows=2**50)
    assert not list(tmp_path.glob("*/images.npy"))


@pytest.mark.parametrize("image", [torch.zeros(SHAPE), np.zeros(SHAPE, np.uint8)])
def test_another_type_names_the_image(tmp_path: Path, image: Any) -> None:
    with pytest.raises(UserError, match=r"n0 \(0\): the transform gives a .*, but what is kept .* ToUint8d"):
        make(tmp_path, Give(lambda number: image))


def test_another_shape_names_the_image(tmp_path: Path) -> None:
    dataset = make(tmp_path, Give(lambda number: torch.zeros(number // 3, 2, dtype=torch.uint8)))
    with pytest.raises(UserError, match=r"n5 \(5\): .* shape \(1, 2\), but for the first image \(0, 2\); resize"):
        dataset[5]


def test_random_transforms_are_refused(tmp_path: Path, draw: Draw) -> None:
    with pytest.raises(UserError, match="RandFlipd is random"):
        make(tmp_path, Compose([draw, Compose([RandFlipd("image")])]))


@pytest.mark.parametrize(
    ("numbers", "change", "said"),
    [
        (range(8), {"identity": ""}, "identity: a store on disk needs"),
        (range(0), {}, "there are no items"),
        (range(8), {"num_rows": 7}, "n7: row 7 is outside of the store, which has 7 rows"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    tmp_path: Path, draw: Draw, numbers: range, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        make(tmp_path, draw, numbers, **change)
