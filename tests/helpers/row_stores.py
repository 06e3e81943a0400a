"""Stores of decoded images that are drawn from their numbers."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medmamba_monai.data.cache.memory_map import MemoryMappedDataset

SHAPE = (1, 5, 4)


class Draw:
    """Makes an image of an item's number and notes in a file that it did."""

    def __init__(self, log: Path, seconds: float = 0) -> None:
        self.log, self.seconds = log, seconds

    def __repr__(self) -> str:
        return "Draw()"

    def __call__(self, item: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        with self.log.open("a") as stream:
            stream.write(f"{item['image']}\n")
        time.sleep(self.seconds)
        return {**item, "image": picture(item["image"]), "made": "by the transform"}

    def count(self) -> int:
        return len(self.log.read_text().splitlines())


def picture(number: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(number).integers(0, 256, SHAPE, dtype=np.uint8))


def items(numbers: range) -> list[dict[Hashable, Any]]:
    return [{"id": f"n{number}", "image": number, "label": number % 2, "row": number} for number in numbers]


def make(folder: Path, transform: Any, numbers: range = range(8), **changes: Any) -> MemoryMappedDataset:
    options: dict[str, Any] = {"identity": "folds 1", "num_rows": 8} | changes
    return MemoryMappedDataset(items(numbers), transform, folder, **options).open()


def check_all(dataset: MemoryMappedDataset) -> None:
    for index in range(len(dataset)):
        assert torch.equal(dataset[index]["image"], picture(dataset.data[index]["image"]))


def file_of(dataset: MemoryMappedDataset, name: str = "images.npy") -> Path:
    return dataset.store.folder / name
