from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import loading
from benchmarks.augmentation import AUGMENTED, BY_MONAI, TRAINING, bars_of, image_table, make_entries, make_loaders
from benchmarks.loading import Source
from benchmarks.timing import Times


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source("PNG", loading.write_images(tmp_path / "png", 3, 16), 3, 16, "demo", 2)


def test_each_kind_gives_batches_of_the_same_images(source: Source) -> None:
    batches = {name: next(iter(loader))["image"] for name, loader in make_loaders(source, torch.device("cpu")).items()}
    assert {(batch.shape, batch.dtype) for batch in batches.values()} == {((3, 3, 16, 16), torch.float32)}
    converted = [batch for name, batch in batches.items() if "converted" in name]
    assert all(torch.equal(batch, converted[0]) for batch in converted)
    assert torch.equal(batches["augmented"], batches["kept there, augmented"])
    assert (batches["augmented"] - converted[0]).abs().mean() < 0.5  # of values from -1 to 1


def test_speeds_are_compared_in_each_round(source: Source) -> None:
    times = Times({BY_MONAI: [3.0, 6.0], AUGMENTED: [1.5, 1.5], TRAINING: [1.0, 3.0]})
    entries = make_entries(source, times)
    found = {entry["name"]: entry for entry in entries}
    assert found[AUGMENTED]["image_seconds"] == 0.5
    assert found[AUGMENTED]["of_training"] == pytest.approx(2 / 3 * (1.5 + 0.5) / 2)
    assert [bar.met for bar in bars_of(entries, as_promised=True)] == [False]
    assert "3.0" in image_table(entries)
