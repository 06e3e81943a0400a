"""MONAI transforms of dictionaries: read, resize, round and convert the images of an item.

Each tells all its options by its ``repr``, from which the identity of a cache is made.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.convert import ConvertImage
from medmamba_monai.images.read import ReadImage
from medmamba_monai.images.resize import ResizeImage, round_to_uint8


class ReadImaged(MapTransform):
    """Dictionary version of :class:`ReadImage`.

    Args:
        keys: entries that hold a path, replaced by the tensor.
        channels: see :class:`ReadImage`, as for the options.
        spatial_dims: dimensions of the images.
        allow_missing_keys: whether an item may lack a key.
        options: further arguments of :class:`ReadImage`, by name.
    """

    def __init__(
        self,
        keys: KeysCollection,
        channels: int,
        spatial_dims: int = 2,
        *,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.read = ReadImage(channels, spatial_dims, **options)

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ReadImaged({self.keys}, {self.read}, {self.allow_missing_keys})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images read."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.read(item[key])
        return item


class ResizeImaged(MapTransform):
    """Dictionary version of :class:`ResizeImage`.

    Args:
        keys: entries that hold an image, replaced by the scaled one.
        spatial_size: see :class:`ResizeImage`.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, spatial_size: Sequence[int], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resize = ResizeImage(spatial_size)

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ResizeImaged({self.keys}, {self.resize}, {self.allow_missing_keys})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images scaled."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.resize(item[key])
        return item


class ConvertImaged(MapTransform):
    """Dictionary version of :class:`ConvertImage`.

    Args:
        keys: entries that hold an image, replaced by the converted one.
        channels: see :class:`ConvertImage`.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, channels: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.convert = ConvertImage(channels)

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ConvertImaged({self.keys}, {self.convert}, {self.allow_missing_keys})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images converted."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = self.convert(item[key])
        return item


class ToUint8d(MapTransform):
    """Round what other transforms made of an image back to uint8, the one type that a store of images keeps.

    Args:
        keys: entries that hold an image of any type with values from 0 to 255, replaced by a plain uint8 tensor.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __repr__(self) -> str:
        """Return the transform with all that decides what it returns."""
        return f"ToUint8d({self.keys}, {self.allow_missing_keys})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its images rounded.

        Raises:
            UserError: an image has values that no uint8 stands for; names the item.
        """
        item = dict(data)
        for key in self.key_iterator(item):
            try:
                item[key] = round_to_uint8(torch.as_tensor(item[key]))
            except UserError as error:
                raise UserError(f"{item.get('id', 'an item')}, {key}: {error}") from error
        return item
