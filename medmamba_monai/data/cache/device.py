"""Decoded images as one tensor on the device that trains, from which batches are taken by index."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import torch
from monai.data import Dataset
from tqdm import tqdm

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.cache.memory_map import Item
from medmamba_monai.images.identity import Transform


@runtime_checkable
class Gathers(Protocol):
    """A dataset that gives the images of a batch at once, and what else its items hold."""

    def gather(self, indices: Sequence[int]) -> torch.Tensor:
        """Return images ``(B, C, *spatial)``, the caller's own."""

    def list_fields(self) -> list[dict[str, Any]]:
        """Return what every item holds beside its image."""


class DeviceCacheDataset(Dataset):
    """A dataset whose images are decoded once and kept as one tensor on a device.

    A single item is on the CPU; the images of a batch, see `gather`, stay on the device. It cannot be given to the
    workers of a DataLoader, which may not use a GPU of their parent.

    Args:
        data: items with the path of an image.
        transform: deterministic; makes of the image a tensor of one shape and type for all items.
        device: where the images are kept.
        key: entry that holds the image.
        num_workers: threads that decode.
        progress: whether to show a bar meanwhile.

    Raises:
        UserError: an image is no tensor, or has another shape or type than the first; names it.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: Transform,
        device: torch.device,
        *,
        key: str = "image",
        num_workers: int = 2,
        progress: bool = False,
    ) -> None:
        super().__init__(data, transform)
        self.key = key
        first = torch.as_tensor(self.transform(dict(data[0]))[key])
        self.images = torch.empty((len(data), *first.shape), dtype=first.dtype, device=device)
        with ThreadPoolExecutor(num_workers) as pool:
            filled = pool.map(self._fill, range(len(data)))
            self._fields = list(tqdm(filled, "Loading dataset", len(data), disable=not progress))

    def _fill(self, index: int) -> dict[str, Any]:
        """Decode an image into its row, and return the rest of its item."""
        item = self.transform(dict(self.data[index]), threading=True)
        image = torch.as_tensor(item[self.key])
        if image.shape != self.images.shape[1:] or image.dtype != self.images.dtype:
            raise UserError(
                f"{self.data[index].get('id', index)}: the image has the shape {tuple(image.shape)} and type "
                f"{image.dtype}, the first one {tuple(self.images.shape[1:])} and {self.images.dtype}; resize all to "
                "one size, or do not keep them on the GPU"
            )
        self.images[index].copy_(image)
        return {name: value for name, value in item.items() if name != self.key}

    def _transform(self, index: int) -> dict[str, Any]:
        """Return one item; the dataset's own ``[]`` takes slices too."""
        return {**self._fields[index], self.key: self.images[index].to("cpu", copy=True)}

    def gather(self, indices: Sequence[int]) -> torch.Tensor:
        """Return images ``(B, C, *spatial)`` on the device, the caller's own."""
        rows = torch.tensor(list(indices))
        if self.images.is_cuda:  # from pinned memory, so that nothing waits for the GPU
            rows = rows.pin_memory()
        return self.images.index_select(0, rows.to(self.images.device, non_blocking=True))

    def list_fields(self) -> list[dict[str, Any]]:
        """Return what every item holds beside its image."""
        return self._fields


def measure_free_gpu_memory(device: torch.device | None) -> int:
    """Return the bytes that are free on a GPU, whoever took the others; 0 where it is none."""
    return int(torch.cuda.mem_get_info(device)[0]) if device is not None and device.type == "cuda" else 0
