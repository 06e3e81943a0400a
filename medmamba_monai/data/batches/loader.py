"""Batches for a network, the last steps to it taken on its device."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from monai.data import DataLoader
from torch.utils.data import Dataset

from medmamba_monai.data.batches.dataset import TransformedDataset

logger = logging.getLogger("medmamba_monai.data")


class BatchLoader(DataLoader):
    """MONAI's DataLoader, whose batches are converted and augmented at once and end on a device.

    Which images come in which order is as with MONAI's. Where the device is a GPU, batches are copied to it from pinned
    memory, unless the images are kept there; then no workers are started. Workers live on from one epoch to the next
    where nothing random is known to happen in them.

    Args:
        dataset: what is loaded.
        device: where batches end.
        num_workers: processes that load ahead; 0 loads when a batch is asked for.
        name: what the dataset is, for the log.
        options: further arguments of torch's DataLoader.
    """

    def __init__(
        self,
        dataset: TransformedDataset,
        device: torch.device | str = "cpu",
        num_workers: int = 0,
        name: str = "train",
        **options: Any,
    ) -> None:
        self.source, self.target = dataset, torch.device(device)
        workers = 0 if dataset.on_device else num_workers
        copied = self.target.type == "cuda" and not dataset.on_device
        if copied or workers != num_workers:
            logger.info(f"{name}: {_describe(self.target, copied, workers)}")
        super().__init__(
            _Batches(dataset),
            workers,
            collate_fn=_keep,
            pin_memory=copied,
            persistent_workers=workers > 0 and dataset.repeats_itself,
            **options,
        )

    def __iter__(self) -> Any:
        if self.persistent_workers and self._iterator is not None:
            # What a new iterator draws for its workers, so that the order of images is that of new workers.
            torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        return map(self._finish, super().__iter__())

    def _finish(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.source.finish(batch, self.target)


class _Batches(Dataset):
    """A dataset as a DataLoader takes batches from it."""

    def __init__(self, source: TransformedDataset) -> None:
        self.source = source

    @property
    def transform(self) -> Any:
        """What works on one image at a time."""
        return self.source.transform

    def reseed(self, seed: int) -> None:
        """See `TransformedDataset.reseed`."""
        self.source.reseed(seed)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.source[index]
        return item

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        return self.source.load(indices)


def _keep(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch that needs no collating."""
    return batch


def _describe(device: torch.device, copied: bool, workers: int) -> str:
    if not copied:
        return f"the images are kept on {device}, so that no workers are started"
    by = f"by {workers} workers, which load ahead" if workers else "without workers; --num_workers N loads ahead"
    return f"batches are copied from pinned memory to {device}, {by}"
