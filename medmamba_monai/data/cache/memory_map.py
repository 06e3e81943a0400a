"""Decoded images in one memory-mapped file, which all folds, workers and processes fill and read together.

A row of the file is filled by whoever needs it first. Its checksum stands in a second file and is compared at every
read, so a row that a power failure, a full disk or a killed process left half written is decoded again, and so is one
that holds another item's image. Several processes that write the same row write the same bytes, which is harmless.

Rows are read through the map and written through the file: on a full disk the system answers a write to a file with
an error, which leaves the row empty, but a write to a map with a signal that ends the process.

Own code, since MONAI's ``PersistentDataset`` keeps a file an image, written by ``torch.save`` and without a checksum.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import Compose
from monai.transforms.traits import RandomizableTrait
from numpy.lib.format import open_memmap

from medmamba_monai.core.disk import check_owner, lock_file, make_private, require_space
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import replace_atomically, write_json
from medmamba_monai.images.identity import Transform, identify_transform

logger = logging.getLogger("medmamba_monai.data")

Item = Mapping[str, Any]

_FORMAT = 1
_FILLED = 1 << 32  # beside the checksum, so that no filled row has the zero of an empty one
_PIXELS, _CHECKSUMS, _DESCRIPTION = "images.npy", "checksums.npy", "store.json"


class RowStore:
    """A uint8 array of N rows on disk, with a checksum for each.

    The folder is named by a digest of ``identity``, N and the row's shape; ``store.json`` in it says them in words.
    Nobody but its owner can read it. It may be deleted at any time: its rows are empty then, and it is made anew when
    one is written.

    Args:
        directory: folder for stores, one folder each.
        identity: all that decides what the rows hold: the images, their order, and how they are decoded.
        num_rows: N.
        shape: shape of a row.
    """

    def __init__(self, directory: str | Path, identity: str, num_rows: int, shape: Sequence[int]) -> None:
        self.shape, self.num_rows, self.identity = tuple(shape), num_rows, identity
        self.folder = _name_folder(directory, identity, num_rows, shape)
        self._complained = False

    def open(self) -> RowStore:
        """Make the files unless they are there, and forget what is mapped.

        Returns:
            The store itself.

        Raises:
            UserError: the folder cannot be written or belongs to another user, or the whole array does not fit on the
                disk.
        """
        for name in ("_pixels", "_checksums"):
            self.__dict__.pop(name, None)
        with lock_file(self.folder.with_suffix(".lock")):
            make_private(self.folder)
            if not self._is_complete():
                self._create(_describe_store(self.identity, self.num_rows, self.shape))
        return self

    @staticmethod
    def missing_bytes(directory: str | Path, identity: str, num_rows: int, shape: Sequence[int]) -> int:
        """Return the bytes that a store would still take on disk, or that one which is there lacks to be full.

        Raises:
            UserError: it is there, but belongs to another user.
        """
        check_owner(folder := _name_folder(directory, identity, num_rows, shape))
        pixels = folder / _PIXELS
        there = getattr(pixels.stat(), "st_blocks", 0) * 512 if pixels.exists() else 0
        return max(0, _count_bytes(num_rows, shape) - there)

    def read(self, row: int, seed: int) -> np.ndarray | None:
        """Return a copy of a row, or None where it is empty, damaged or was written with another seed.

        Args:
            row: 0 to N - 1.
            seed: a 32-bit number that stands for what the row should hold.
        """
        try:
            expected = int(self._checksums[row])
            if expected == 0:
                return None
            pixels = np.array(self._pixels[row], subok=False)
        except (OSError, ValueError):  # deleted or cut before its first read
            return None
        return pixels if _compute_checksum(pixels, seed) == expected else None

    def write(self, row: int, pixels: np.ndarray, seed: int) -> None:
        """Fill a row; where that fails it stays empty, and the log says so once.

        Args:
            row: 0 to N - 1.
            pixels: uint8 array of the row's shape.
            seed: as for :meth:`read`.
        """
        try:
            try:
                self._write(row, pixels, seed)
            except (FileNotFoundError, ValueError):  # deleted or cut meanwhile
                self.open()
                self._write(row, pixels, seed)
        except (OSError, UserError) as error:
            if not self._complained:
                logger.warning(f"{self.folder}: cannot be written ({error}); these images are decoded again")
            self._complained = True

    def _write(self, row: int, pixels: np.ndarray, seed: int) -> None:
        _write_row(self.folder / _PIXELS, self._pixels, row, pixels)
        _write_row(self.folder / _CHECKSUMS, self._checksums, row, np.array(_compute_checksum(pixels, seed), np.uint64))

    @cached_property
    def _pixels(self) -> np.memmap:
        return open_memmap(self.folder / _PIXELS, "r")

    @cached_property
    def _checksums(self) -> np.memmap:
        return open_memmap(self.folder / _CHECKSUMS, "r")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_pixels", "_checksums")}

    def _arrays(self) -> dict[str, tuple[type, tuple[int, ...]]]:
        return {_PIXELS: (np.uint8, (self.num_rows, *self.shape)), _CHECKSUMS: (np.uint64, (self.num_rows,))}

    def _is_complete(self) -> bool:
        """Return whether the files of an earlier process are all there, in full length."""
        try:
            found = {name: open_memmap(self.folder / name, "r") for name in self._arrays()}
        except (OSError, ValueError):  # missing, short, or no array at all
            return False
        return all((found[name].dtype, found[name].shape) == expected for name, expected in self._arrays().items())

    def _create(self, description: dict[str, Any]) -> None:
        require_space(self.folder.parent, _count_bytes(self.num_rows, self.shape), "the store of decoded images")
        write_json(self.folder / _DESCRIPTION, description)
        for name, (dtype, shape) in self._arrays().items():
            with replace_atomically(self.folder / name) as temporary:
                temporary.chmod(0o600)
                open_memmap(temporary, "w+", dtype, shape)  # sparse: takes room only as rows are filled


class MemoryMappedDataset(Dataset):
    """A dataset whose images are decoded once and kept in a :class:`RowStore`.

    Its items are the items of ``data`` with the image as a plain tensor of their own; what the transform makes of other
    entries is not kept. It can be given to the workers of a DataLoader, by fork or by pickle.

    Args:
        data: items with the path of an image, and with its ``row``: the number of the image among all that share the
            store. Without one, their position counts.
        transform: deterministic; makes of the image a uint8 tensor of one shape for all items.
        directory: folder for stores.
        identity: which images they are, such as a digest of their files' checksums. With what the transform says of
            itself, see `identify_store`, it decides which store is used.
        num_rows: number of images that share the store; by default the length of ``data``.
        key: entry that holds the image.

    Raises:
        UserError: the identity is empty, the transform is random or does not tell its options, there are no items or a
            row is outside the store.
    """

    def __init__(
        self,
        data: Sequence[Item],
        transform: Transform,
        directory: str | Path,
        *,
        identity: str,
        num_rows: int | None = None,
        key: str = "image",
    ) -> None:
        super().__init__(data, transform)
        self.key = key
        num_rows = len(data) if num_rows is None else num_rows
        check_deterministic(self.transform)
        _check_rows(data, identity, num_rows)
        self.num_rows, self.directory = num_rows, Path(directory).absolute()
        self.identity = identify_store(identity, self.transform)

    @cached_property
    def store(self) -> RowStore:
        """Where the images are kept; its shape is that of the first image, which is decoded for it."""
        return RowStore(self.directory, self.identity, self.num_rows, self._decode(0).shape).open()

    def open(self) -> MemoryMappedDataset:
        """Make the store now rather than when an item is first asked for, before workers do.

        Returns:
            The dataset itself.

        Raises:
            UserError: the transform makes no uint8 tensor, or the store cannot be made.
        """
        _ = self.store
        return self

    def gather(self, indices: Sequence[int]) -> torch.Tensor:
        """Read or decode images ``(B, C, *spatial)``, the caller's own."""
        return torch.from_numpy(np.stack([self._read(index) for index in indices]))

    def list_fields(self) -> list[dict[str, Any]]:
        """Return what every item holds beside its image."""
        return [{name: value for name, value in item.items() if name != self.key} for item in self.data]

    def _transform(self, index: int) -> dict[str, Any]:
        """Read or decode one item; the dataset's own ``[]`` takes slices too."""
        return {**self.data[index], self.key: torch.from_numpy(self._read(index))}

    def _read(self, index: int) -> np.ndarray:
        item, row = self.data[index], _get_row(self.data, index)
        seed = zlib.crc32(str(item.get("id", item[self.key])).encode())
        pixels = self.store.read(row, seed)
        if pixels is None:
            pixels = self._decode(index)
            if pixels.shape != self.store.shape:
                raise UserError(
                    f"{_name_item(item, self.key)}: the transform gives the shape {pixels.shape}, but for the "
                    "first image "
                    f"{self.store.shape}; resize all to one size, or do not cache on disk"
                )
            self.store.write(row, pixels, seed)
        return pixels

    def _decode(self, index: int) -> np.ndarray:
        item = self.data[index]
        image = self.transform(dict(item), threading=True)[self.key]
        if not isinstance(image, torch.Tensor) or image.dtype != torch.uint8:
            raise UserError(
                f"{_name_item(item, self.key)}: the transform gives {_describe(image)}, but what is kept on "
                "disk must be a "
                "uint8 tensor; end it with ToUint8d, or do not cache on disk"
            )
        return np.array(image.numpy(force=True), order="C")


def check_deterministic(transform: Compose) -> None:
    """Refuse a random transform, whose first outcome would be kept for good.

    Raises:
        UserError: names it.
    """
    for part in transform.flatten().transforms:
        if isinstance(part, RandomizableTrait):
            raise UserError(
                f"{type(part).__name__} is random, so its result is not kept on disk: apply it after the cache"
            )


def identify_store(identity: str, transform: Transform) -> str:
    """Return all that decides what the rows of a store hold: the images, and how they are decoded.

    Raises:
        UserError: a part of the transform does not tell its options.
    """
    return f"{identity}; {identify_transform(transform)}"


def _describe_store(identity: str, num_rows: int, shape: Sequence[int]) -> dict[str, Any]:
    return {"format": _FORMAT, "identity": identity, "rows": num_rows, "shape": list(shape)}


def _name_folder(directory: str | Path, identity: str, num_rows: int, shape: Sequence[int]) -> Path:
    digest = hashlib.sha256(json.dumps(_describe_store(identity, num_rows, shape)).encode()).hexdigest()
    return Path(directory).absolute() / digest[:32]


def _count_bytes(num_rows: int, shape: Sequence[int]) -> int:
    return num_rows * (math.prod(shape) + np.dtype(np.uint64).itemsize)


def _check_rows(data: Sequence[Item], identity: str, num_rows: int) -> None:
    if not identity:
        raise UserError("identity: a store on disk needs a text that says which images it holds; found an empty one")
    if not len(data):
        raise UserError("data: there are no items to cache")
    for index, item in enumerate(data):
        if not 0 <= (row := _get_row(data, index)) < num_rows:
            raise UserError(f"{item.get('id', index)}: row {row} is outside of the store, which has {num_rows} rows")


def _get_row(data: Sequence[Item], index: int) -> int:
    return int(data[index].get("row", index % len(data)))


def _name_item(item: Item, key: str) -> str:
    return f"{item['id']} ({item[key]})" if "id" in item else str(item[key])


def _describe(image: Any) -> str:
    if not isinstance(image, torch.Tensor):
        return f"a {type(image).__name__}"
    return f"a tensor of {str(image.dtype).removeprefix('torch.')} and shape {tuple(image.shape)}"


def _compute_checksum(pixels: np.ndarray, seed: int) -> int:
    return _FILLED | zlib.crc32(pixels.data, seed)


def _write_row(path: Path, array: np.memmap, row: int, values: np.ndarray) -> None:
    """Write a row through a handle of its own: after a fork, processes share the position of a common one."""
    with path.open("r+b", buffering=0) as stream:
        stream.seek(array.offset + row * values.nbytes)
        stream.write(values.tobytes())
