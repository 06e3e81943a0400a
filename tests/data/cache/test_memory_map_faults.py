from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba_monai.data.cache.memory_map import MemoryMappedDataset, RowStore
from tests.helpers.row_stores import Draw, check_all, file_of, items, make

fork = multiprocessing.get_context("fork")


def test_a_row_of_another_item_is_not_taken(tmp_path: Path, draw: Draw) -> None:
    check_all(make(tmp_path, draw))
    swapped = [{**item, "row": 7 - item["row"]} for item in items(range(8))]
    check_all(MemoryMappedDataset(swapped, draw, tmp_path, identity="folds 1", num_rows=8))


def test_a_torn_row_is_decoded_again(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path, draw)
    check_all(dataset)
    before = draw.count()
    with file_of(dataset).open("r+b") as stream:
        stream.seek(-21, os.SEEK_END)  # the last of row 6, the first of row 7 is next
        stream.write(bytes(11))
    check_all(dataset)
    assert draw.count() == before + 2
    check_all(dataset)
    assert draw.count() == before + 2


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def replace(path: Path) -> None:
    np.save(path.with_suffix(""), np.zeros((8, 3), np.uint8))


def spoil(path: Path) -> None:
    path.write_bytes(b"no array")


@pytest.mark.parametrize("name", ["images.npy", "checksums.npy"])
@pytest.mark.parametrize("damage", [Path.unlink, cut, replace, spoil])
def test_a_short_or_foreign_file_is_made_anew(
    tmp_path: Path, draw: Draw, name: str, damage: Callable[[Path], None]
) -> None:
    check_all(make(tmp_path, draw))
    damage(file_of(make(tmp_path, draw), name))
    check_all(make(tmp_path, draw))
    before = draw.count()
    check_all(make(tmp_path, draw))
    assert draw.count() == before + 1


def test_a_folder_that_is_deleted_meanwhile_costs_nothing_but_time(
    tmp_path: Path, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make(tmp_path / "stores", draw)
    assert dataset[0]["label"] == 0
    shutil.rmtree(tmp_path / "stores")
    check_all(dataset)
    check_all(dataset)  # the first one, which was still mapped, is written now
    before = draw.count()
    check_all(dataset)
    assert draw.count() == before
    assert not caplog.records


def test_a_store_that_is_deleted_before_its_first_read_is_made_anew(tmp_path: Path, draw: Draw) -> None:
    dataset = make(tmp_path / "stores", draw)
    shutil.rmtree(tmp_path / "stores")
    check_all(dataset)
    before = draw.count()
    check_all(dataset)
    assert draw.count() == before


def test_a_store_that_cannot_be_made_anew_costs_nothing_but_time(
    tmp_path: Path, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make(tmp_path / "stores", draw)
    shutil.rmtree(tmp_path / "stores")
    (tmp_path / "stores").touch()
    check_all(dataset)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "these images are decoded again" in caplog.text


def fill(folder: Path, draw: Draw, numbers: range, ready: Any) -> None:
    dataset = make(folder, draw, numbers)
    ready.wait()
    check_all(dataset)
    check_all(dataset)


@pytest.mark.parametrize("orders", [(range(8), range(8)), (range(8), range(7, -1, -1))], ids=["same", "opposite"])
def test_processes_fill_the_same_rows_at_once(tmp_path: Path, draw: Draw, orders: tuple[range, range]) -> None:
    ready = fork.Barrier(2)
    processes = [fork.Process(target=fill, args=(tmp_path, draw, order, ready)) for order in orders]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    before = draw.count()
    check_all(make(tmp_path, draw))
    assert draw.count() == before + 1


def rewrite_for_ever(store: RowStore) -> None:
    while True:
        store.write(0, np.full(store.shape, 7, np.uint8), 1)
        store.write(0, np.full(store.shape, 9, np.uint8), 1)


def test_a_process_killed_while_it_writes_leaves_no_wrong_row(tmp_path: Path) -> None:
    store = RowStore(tmp_path, "x", 2, (3, 400, 400)).open()
    for _ in range(3):
        process = fork.Process(target=rewrite_for_ever, args=(store,))
        process.start()
        for _ in range(20):  # while it writes, and what is left after the kill
            pixels = store.read(0, 1)
            assert pixels is None or (pixels == pixels.flat[0]).all()
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        pixels = store.read(0, 1)
        assert pixels is None or (pixels == pixels.flat[0]).all()
    store.write(0, np.full(store.shape, 3, np.uint8), 1)
    read = store.read(0, 1)
    assert read is not None
    assert (read == 3).all()
