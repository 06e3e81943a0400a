"""Items, or whole batches, of which the result of one transform is kept, and another follows each time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.data.utils import list_data_collate

from medmamba_monai.data.batches.columns import Columns
from medmamba_monai.data.batches.split import repeats_itself, split_transform
from medmamba_monai.data.cache.dataset import cached_dataset
from medmamba_monai.data.cache.device import DeviceCacheDataset, Gathers
from medmamba_monai.data.cache.memory_map import Item
from medmamba_monai.images.augment.step import INDEX
from medmamba_monai.images.identity import Transform

logger = logging.getLogger("medmamba_monai.data")


class TransformedDataset(Dataset):
    """A dataset whose transform works on batches as far as it can, and on an image at a time as far as it must.

    ``dataset[index]`` is an item with all transforms applied. `BatchLoader` takes batches in two steps instead:
    `load` where images are loaded, `finish` where the network is, with the same result.

    Args:
        data: items, or the dataset that keeps them.
        transform: from what ``data`` gives to what a network is given.
        key: entry of the image.
    """

    def __init__(self, data: Dataset | Sequence[Item], transform: Transform, key: str = "image") -> None:
        self.split = split_transform(transform, key)
        kept: Any = data  # MONAI's types do not take a Dataset for a sequence
        super().__init__(kept, self.split.items)
        self.key = key
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        """Begin the random numbers of transforms of batches anew, such as at each epoch; same seed, same numbers."""
        for stream, step in enumerate(self.split.random):
            step.reseed(seed, stream)

    @property
    def on_device(self) -> bool:
        """Whether images are kept where workers of a DataLoader must not go."""
        return isinstance(self.data, DeviceCacheDataset) and self.data.images.device.type != "cpu"

    @property
    def repeats_itself(self) -> bool:
        """Whether nothing random is known to happen where items are loaded, so that workers may live on."""
        return repeats_itself(self.transform) and repeats_itself(getattr(self.data, "transform", None))

    def load(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return a batch of items, with their numbers, for `finish`."""
        if isinstance(self.data, Gathers) and not self.transform.transforms:
            images = {self.key: self.data.gather(indices), INDEX: torch.tensor(list(indices))}
            return {**self._columns.take(indices), **images}
        collated: dict[str, Any] = list_data_collate([self._load_item(index) for index in indices])
        return collated

    def finish(self, batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        """Return a batch as the network is given it, images and labels on a device."""
        finished = {name: value for name, value in batch.items() if name != INDEX}
        for name in {self.key, "label"} & finished.keys():
            if isinstance(finished[name], torch.Tensor):
                finished[name] = finished[name].to(device, non_blocking=True)
        finished[self.key] = self.split.batches(finished[self.key], batch[INDEX].numpy())
        return finished

    @cached_property
    def _columns(self) -> Columns:
        kept: Any = self.data
        return Columns([self.split.fields(dict(item)) for item in kept.list_fields()])

    def _load_item(self, index: int) -> Any:
        """Return an item, or the list that transforms make of it, with its number and all but what works on batches."""
        made = self.split.fields(self.transform({**self.data[index], INDEX: index}))
        return [{**part, INDEX: index} for part in made] if isinstance(made, list) else {**made, INDEX: index}

    def _transform(self, index: int) -> Any:
        """Return one item; the dataset's own ``[]`` takes slices too."""
        made = self._load_item(index + len(self) if index < 0 else index)
        return [self._finish_item(part) for part in made] if isinstance(made, list) else self._finish_item(made)

    def _finish_item(self, item: dict[str, Any]) -> dict[str, Any]:
        number = np.array([item.pop(INDEX)])
        if self.split.batches.steps:
            item[self.key] = self.split.batches(torch.as_tensor(item[self.key])[None], number)[0]
        return item


def transformed_dataset(
    data: Sequence[Item],
    reading: Transform,
    transform: Transform,
    device: torch.device | None = None,
    **keeping: Any,
) -> TransformedDataset:
    """Return what a network is given: items of which the result of one transform is kept, and of another is not.

    Args:
        data: items with the path of an image.
        reading: what `cached_dataset` keeps the results of.
        transform: what follows whenever an item is taken.
        device: where the network is, which may keep the images.
        keeping: the other arguments of `cached_dataset`.
    """
    slow = split_transform(transform, keeping.get("key", "image")).slow_parts
    if slow and device is not None and device.type == "cuda":
        name = keeping.get("name", "train")
        logger.info(
            f"{name}: {', '.join(slow)} work on one image at a time, on the CPU: slower than what {device} does"
        )
        device = device if keeping.get("cache") == "gpu" else None
    return TransformedDataset(cached_dataset(data, reading, device=device, **keeping), transform)
