from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import loading, memory
from benchmarks.loading import (
    BASELINE,
    FIRST_EPOCH,
    FORMER,
    IN_MEMORY,
    KEPT,
    ON_DISK,
    Source,
    bars_of,
    loading_entries,
    main,
)
from benchmarks.timing import Times
from tests.helpers.warm_commands import warm_multiprocessing


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source("PNG", loading.write_images(tmp_path / "png", 3, 16), 3, 16, "demo", 2)


def test_all_kinds_give_the_network_the_same(source: Source, tmp_path: Path) -> None:
    expected = loading.build_dataset(source, BASELINE, tmp_path)
    for name in KEPT:
        dataset = loading.build_dataset(source, name, tmp_path)
        for index in range(3):
            assert torch.equal(dataset[index]["image"], expected[index]["image"])
    assert loading.run_epoch(expected, 0) == 3


def test_the_first_epoch_begins_with_an_empty_store(source: Source, tmp_path: Path) -> None:
    for _ in range(2):
        assert loading.run_first_epoch(source, 0, tmp_path) == 3
    (checksums,) = tmp_path.glob("first/stores/*/checksums.npy")
    assert np.load(checksums).all()


def test_speeds_are_compared_in_each_round(source: Source) -> None:
    times = Times({BASELINE: [3.0, 6.0], IN_MEMORY: [1.5, 1.0], source.training: [1.0, 2.0]})
    entries = {entry["name"]: entry for entry in loading_entries(source, "task", times)}
    assert entries[BASELINE]["images_per_second"] == pytest.approx(3 / 4.5)
    assert entries[BASELINE]["of_training"] == pytest.approx(0.5)
    assert entries[IN_MEMORY]["of_training"] == pytest.approx((1 / 1.5 + 2 / 1) / 2 * 3 / 2)
    assert entries[source.training]["of_training"] is None
    bars = bars_of(list(entries.values()), as_promised=True)
    assert [(bar.figure, bar.met) for bar in bars] == [(pytest.approx(2.0), True), (None, None)]


@pytest.fixture
def small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a run on a few small images."""
    monkeypatch.delenv("MEDMAMBA_DATA_DIR", raising=False)
    monkeypatch.setattr(memory, "multiprocessing", warm_multiprocessing())
    options = ["--images", "2", "--image-size", "32", "--workers", "0", "--threads", "1"]
    return ["--quick", *options, "--json", str(tmp_path / "loading.json")]


@pytest.mark.apart
def test_a_run_measures_speed_and_memory(small_run: list[str]) -> None:
    assert main(small_run) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    speeds = {entry["name"]: entry["images_per_second"] for entry in result["times"]}
    assert speeds.keys() == {*KEPT, FIRST_EPOCH, "training, MedMamba-T"}
    for bar, name in zip(result["bars"], (IN_MEMORY, ON_DISK), strict=True):
        assert bar["text"] == f"PNG, 32 pixels, 0 workers: {name} / training, images/s"
        assert bar["figure"] == pytest.approx(speeds[name] / speeds["training, MedMamba-T"])
        assert not bar["measured_as_promised"]
    assert [entry["name"] for entry in result["memory"]] == [BASELINE, FORMER, IN_MEMORY, ON_DISK]
    assert all(0 <= entry["bytes"] < 2**30 for entry in result["memory"])


def test_real_images_are_timed_at_the_size_of_the_demo(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "pneumoniamnist.npz", train_images=np.zeros((4, 28, 28), np.uint8))
    options = argparse.Namespace(data=tmp_path, images=2, image_size=16, quick=True)
    _, real = loading.sources(options, tmp_path)
    ((task, times),) = loading.time_source(real, 1, [0], tmp_path)
    assert task == "PneumoniaMNIST, 64 pixels, 0 workers"
    entries = loading_entries(real, task, times)
    assert [entry["images"] for entry in entries] == [2] * 6 + [64]
    assert loading.build_dataset(real, IN_MEMORY, tmp_path)[0]["image"].shape == (3, 64, 64)


def test_without_real_images_the_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(data=None, images=2, image_size=16, quick=True)
    (source,) = loading.sources(options, tmp_path)
    assert (source.name, len(source.data), source.image_size) == ("PNG", 2, 16)
    assert "PneumoniaMNIST is left out: name the folder" in capsys.readouterr().out


@pytest.mark.apart
def test_an_interrupt_writes_what_is_there(small_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "measure_memory", interrupt)
    assert main(small_run) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    assert (result["interrupted"], result["memory"]) == (True, [])
    assert {entry["images"] for entry in result["times"]} == {2, 8}
    assert all(entry["images_per_second"] > 0 for entry in result["times"])
