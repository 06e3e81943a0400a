from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import loading, memory
from benchmarks.loading import BASELINE, FIRST_EPOCH, IN_MEMORY, KEPT, ON_DISK, Source, bars_of, loading_entries, main
from benchmarks.timing import Times


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
def small_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Arguments of a run on a few images that needs no other process."""
    monkeypatch.setattr(memory, "peak_memory", lambda build, prepare, threads: 1_000_000)
    monkeypatch.setattr(loading, "WORKERS", (0,))
    monkeypatch.setattr(loading, "training_step", lambda source: lambda: None)
    monkeypatch.delenv("MEDMAMBA_DATA_DIR", raising=False)
    return ["--quick", "--images", "2", "--threads", "1", "--json", str(tmp_path / "loading.json")]


def test_a_run_measures_generated_and_real_images(small_run: list[str], tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "pneumoniamnist.npz", train_images=np.zeros((4, 28, 28), np.uint8))
    assert main([*small_run, "--data", str(tmp_path)]) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    assert list(dict.fromkeys(entry["task"] for entry in result["times"])) == [
        "PNG, 224 pixels, 0 workers",
        "PneumoniaMNIST, 64 pixels, 0 workers",
    ]
    assert {entry["name"] for entry in result["times"][:7]} == {*KEPT, FIRST_EPOCH, "training, MedMamba-T"}
    assert {entry["name"] for entry in result["memory"]} >= {BASELINE, ON_DISK}
    assert not any(bar["measured_as_promised"] for bar in result["bars"])


def test_without_real_images_the_run_says_so(small_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(small_run) == 0
    assert "PneumoniaMNIST is left out: name the folder" in capsys.readouterr().out


def test_an_interrupt_writes_what_is_there(small_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "measure_memory", interrupt)
    assert main(small_run) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    assert (result["interrupted"], result["memory"]) == (True, [])
    assert result["times"]
