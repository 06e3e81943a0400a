"""The choice of a cache for decoded images: GPU, memory, a part in memory or a memory-mapped file, by what fits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset, Dataset
from monai.data.utils import list_data_collate
from monai.transforms import Transform as MonaiTransform
from monai.transforms.traits import RandomizableTrait

from medmamba_monai.core.disk import format_size, get_cache_dir, is_writable, measure_free_space, suggest_other_folder
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.memory import measure_available_memory
from medmamba_monai.data.cache.device import DeviceCacheDataset, measure_free_gpu_memory
from medmamba_monai.data.cache.memory_map import Item, MemoryMappedDataset, RowStore, identify_store
from medmamba_monai.images.identity import Transform

logger = logging.getLogger("medmamba_monai.data")

CHOICES = ("auto", "gpu", "memory", "disk", "none")
ITEM_OVERHEAD = 2048
"""Bytes of Python objects beside the pixels of an item in memory."""


class CopyingCacheDataset(CacheDataset):
    """MONAI's cache in memory, whose items are the caller's own.

    MONAI hands out what it holds where no random transform follows; whatever then works in place on a tensor changes
    every later epoch.
    """

    def _transform(self, index: int) -> Any:
        item = super()._transform(index)
        return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in item.items()}


class WholeCacheDataset(CopyingCacheDataset):
    """All items in memory, of which a batch of images is taken at once."""

    def __init__(self, data: Sequence[Item], transform: Transform, key: str = "image", **options: Any) -> None:
        self.key = key
        super().__init__(data, transform, **options)

    def gather(self, indices: Sequence[int]) -> torch.Tensor:
        """Return images ``(B, C, *spatial)``, the caller's own."""
        images: torch.Tensor = list_data_collate([{self.key: self._cache[index][self.key]} for index in indices])[
            self.key
        ]
        return images

    def list_fields(self) -> list[dict[str, Any]]:
        """Return what every item holds beside its image."""
        return [{name: value for name, value in item.items() if name != self.key} for item in self._cache]


def cached_dataset(
    data: Sequence[Item],
    transform: Transform,
    cache: str | float = "auto",
    *,
    directory: str | Path | None = None,
    identity: str = "",
    num_rows: int | None = None,
    key: str = "image",
    device: torch.device | None = None,
    num_workers: int = 2,
    progress: bool = False,
    memory_share: float = 0.5,
    available: int | None = None,
    device_available: int | None = None,
    name: str = "train",
) -> Dataset:
    """Choose where the results of a transform are kept between epochs, and say in the log which and why.

    The transform should end where an image is smallest: in uint8, at the network's size. What comes after it, the
    conversion to float and every random transform, belongs into a dataset around this one.

    Args:
        data: items with the path of an image.
        transform: from an item to what is kept; deterministic.
        cache: ``gpu``: all of it as one tensor on ``device``, from which batches are taken. ``memory``: all of it;
            workers that are spawned, as on macOS and Windows, get a copy each. ``disk``: a
            :class:`~medmamba_monai.data.cache.memory_map.MemoryMappedDataset`, whose file is shared by folds, workers
            and processes and is there again at the next run. ``none``. A number from 0 to 1: that part of the images in
            memory. ``auto``: ``gpu`` where the device is one and it takes no more than half of ``memory_share`` of what
            is free there, since the network needs the rest; else ``memory`` where it takes no more than
            ``memory_share`` of what is available; else ``disk`` where all ``num_rows`` fit; else the part of the images
            that fits into the share.
        directory: folder for stores on disk; by default ``images`` in :func:`~medmamba_monai.core.disk.get_cache_dir`.
        identity: which images they are, such as a digest of their files' checksums; what the transform makes of them
            is told by the transform itself, see :func:`~medmamba_monai.data.cache.memory_map.identify_store`. Without
            one nothing is kept on disk.
        num_rows: number of images that share the store on disk, where items have a ``row`` of their own.
        key: entry that holds the image.
        device: where the network is; None: nothing is kept on a GPU.
        num_workers: threads that fill the memory.
        progress: whether to show a bar meanwhile.
        memory_share: part of the available memory that ``auto`` may take. Each dataset looks at what is left after
            those before it; several trainings at the same time should divide the share by their number.
        available: bytes of memory that may be taken; None: those that are available.
        device_available: bytes of memory that may be taken on the device; None: those that are free.
        name: what the dataset is, for the log.

    Returns:
        A dataset with an item for each of ``data``; its tensors may be changed in place.

    Raises:
        UserError: there is no such choice, it does not fit, or it is ``disk`` and the images are no uint8 tensors of
            one shape.
    """
    wish = check_cache(cache)
    if isinstance(memory_share, bool) or not 0 < memory_share <= 1:
        raise UserError(f"memory_share: must be above 0 and at most 1, found {memory_share!r}")
    if wish in ("none", 0.0) or not len(data):
        return Dataset(data, transform)
    folder = get_cache_dir() / "images" if directory is None else Path(directory)
    image, size = _measure(data, transform, key)
    obstacle = _find_obstacle(image, transform, folder, identity, len(data) if num_rows is None else num_rows)
    memory = measure_available_memory() if available is None else available
    gpu = measure_free_gpu_memory(device) if device_available is None else device_available
    needs = _Needs(name, len(data), size, memory, f"a memory-mapped store in {folder}", obstacle, device, gpu)
    choice, why = needs.choose(memory_share) if wish == "auto" else needs.require(wish)
    logger.info(why)
    if choice == "disk":
        return MemoryMappedDataset(data, transform, folder, identity=identity, num_rows=num_rows, key=key).open()
    if choice == "gpu" and device is not None:
        return DeviceCacheDataset(data, transform, device, key=key, num_workers=num_workers, progress=progress)
    rate = 1.0 if choice == "memory" else float(choice)
    if rate == 1 and not _has_random_parts(transform):
        return WholeCacheDataset(data, transform, key, num_workers=num_workers, progress=progress)
    return CopyingCacheDataset(data, transform, cache_rate=rate, num_workers=num_workers, progress=progress)


@dataclass(frozen=True)
class _Needs:
    """What a choice is made from: sizes in bytes, the place on disk and why that cannot be used, if so, and the GPU."""

    name: str
    images: int
    item_bytes: int
    available: int
    place: str
    obstacle: str
    device: torch.device | None
    device_available: int

    @property
    def _total(self) -> int:
        return self.images * self.item_bytes

    @property
    def _facts(self) -> str:
        return f"{self.name}: {self.images:,} images of {format_size(self.item_bytes)} are {format_size(self._total)}"

    def _rate_within(self, budget: float) -> float:
        """Return the part that fits, rounded down to a hundredth."""
        return min(1.0, int(100 * budget / self._total) / 100)

    def choose(self, share: float) -> tuple[str | float, str]:
        """Return the first of GPU, memory, disk and a part in memory that fits, and a line that says why."""
        if 0 < self._total <= share / 2 * self.device_available:
            limit = f"{share / 2:.0%} of the {format_size(self.device_available)} free on {self.device}"
            return "gpu", f"{self._facts}, within {limit}: all are kept there"
        limit = f"{share:.0%} of the {format_size(self.available)} of memory available"
        if self._total <= share * self.available:
            return "memory", f"{self._facts}, within {limit}: all are kept in memory"
        if not self.obstacle:
            return "disk", f"{self._facts}, more than {limit}: {self.place}"
        rate = self._rate_within(share * self.available)
        part = f"{rate:.0%} of them are kept in memory, the others are decoded in every epoch"
        return rate, f"{self._facts}, more than {limit}, and they are not kept on disk ({self.obstacle}): {part}"

    def require(self, wish: str | float) -> tuple[str | float, str]:
        """Check that what the user chose is possible; returns it and a line that says so."""
        if wish == "gpu":
            if self._total > self.device_available:
                found = f"{format_size(self.device_available)} are free on {self.device}"
                found = found if self.device_available else f"the device is {self.device or 'the CPU'}"
                raise UserError(f"cache 'gpu': {self._facts}, but {found}; {self._alternatives()}")
            return wish, f"{self._facts}: all are kept on {self.device}, as chosen"
        if wish == "disk":
            if self.obstacle:
                raise UserError(f"cache 'disk': {self._facts}, but {self.obstacle}; {self._alternatives()}")
            return wish, f"{self._facts}: {self.place}, as chosen"
        rate = 1.0 if wish == "memory" else float(wish)
        if rate * self._total > self.available:
            found = f"{format_size(self.available)} of memory are available"
            raise UserError(f"cache {wish!r}: {self._facts}, but {found}; {self._alternatives()}")
        return wish, f"{self._facts}: {rate:.0%} of them are kept in memory, as chosen"

    def _alternatives(self) -> str:
        disk = "" if self.obstacle else "'disk', "
        return f"choose {disk}'auto', 'none' or a number up to {self._rate_within(self.available):g}"


def check_cache(cache: object) -> str | float:
    """Check what a user chose for ``cache``, see `cached_dataset`.

    Raises:
        UserError: there is no such choice.
    """
    if isinstance(cache, str) and cache in CHOICES:
        return cache
    if isinstance(cache, (int, float)) and not isinstance(cache, bool) and 0 <= cache <= 1:
        return float(cache)
    raise UserError(f"--cache {cache!r}: give {', '.join(CHOICES)} or a number from 0 to 1")


def _has_random_parts(transform: Transform) -> bool:
    """Return whether MONAI would run a part of a transform again for what it keeps."""
    parts = Dataset([], transform).transform.flatten().transforms
    return any(isinstance(part, RandomizableTrait) or not isinstance(part, MonaiTransform) for part in parts)


def _measure(data: Sequence[Item], transform: Transform, key: str) -> tuple[Any, int]:
    """Decode the first item; returns its image and the bytes that the whole item takes in memory."""
    item = Dataset(data, transform)[0]
    sizes = (value.nbytes for value in item.values() if isinstance(value, (torch.Tensor, np.ndarray)))
    return item[key], sum(sizes) + ITEM_OVERHEAD


def _find_obstacle(image: Any, transform: Transform, folder: Path, identity: str, num_rows: int) -> str:
    """Return why images cannot be kept on disk, or nothing."""
    if not identity:
        return "no identity says which images they are"
    if not isinstance(image, torch.Tensor) or image.dtype != torch.uint8:
        return "they are no uint8 tensors"
    if not is_writable(folder):
        return f"{folder} cannot be written; {suggest_other_folder()}"
    try:
        missing = RowStore.missing_bytes(folder, identify_store(identity, transform), num_rows, image.shape)
    except UserError as error:
        return str(error)
    if missing <= (free := measure_free_space(folder)):
        return ""
    there = f"in {folder}, where {format_size(free)} are free; {suggest_other_folder()}"
    return f"all {num_rows:,} need {format_size(missing)} {there}"
