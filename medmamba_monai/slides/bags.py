"""Slides as items and batches of a training: the features of their tiles, padded to the slide with most tiles."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import Dataset
from monai.data.utils import pad_list_data_collate
from monai.transforms import Compose, MapTransform

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import TransformedDataset
from medmamba_monai.slides.bundle_features import BundleFeatures


class ReadBagd(MapTransform):
    """Read the stored features of slides.

    Args:
        keys: entries that hold the path of a slide, replaced by its bag, float32 (1 + width, N).
        features: where they are.
    """

    def __init__(self, keys: KeysCollection, features: BundleFeatures) -> None:
        super().__init__(keys)
        self.features = features

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its slides read."""
        return {**data, **{key: self.features.read(data[key]) for key in self.key_iterator(dict(data))}}


class EmbedSlided(ReadBagd):
    """Make the features of slides, or read those that were made before; arguments are those of `ReadBagd`."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the item with its slides read."""
        return {**data, **{key: self.features.embed(data[key]) for key in self.key_iterator(dict(data))}}


class BagDataset(TransformedDataset):
    """Bags of slides, of which a batch is padded with zeros.

    Args:
        data: items with the path of a slide.
        reading: from a path to its bag; features are mapped from disk, so that nothing else keeps them.
        transform: what follows whenever an item is taken.
        cache: ``auto`` or ``none``.
        name: what the dataset is.

    Raises:
        UserError: another cache is chosen.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        reading: MapTransform,
        transform: Compose | None = None,
        cache: str | float = "none",
        name: str = "train",
    ) -> None:
        if cache not in ("auto", "none"):
            raise UserError(
                f"--cache {cache}: features of slides are mapped from disk and kept nowhere else; leave it out"
            )
        self.name = name
        super().__init__(Dataset(data, reading), Compose([]) if transform is None else transform)

    def load(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return a batch of items, with their numbers, for `finish`."""
        collated: dict[str, Any] = pad_list_data_collate([self._load_item(index) for index in indices])
        return collated
