"""What of a transform can work on batches, and what needs one image at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from monai.transforms import Compose, EnsureTyped

from medmamba_monai.images.augment.pipeline import BatchPipeline, BatchStep, works_on_batches
from medmamba_monai.images.augment.step import RandomStep
from medmamba_monai.images.identity import Transform
from medmamba_monai.images.transforms import ConvertImaged, ReadImaged, ResizeImaged, ToUint8d

_REPEATABLE = (ReadImaged, ResizeImaged, ConvertImaged, ToUint8d, EnsureTyped)


@dataclass(frozen=True)
class SplitTransform:
    """A transform of items in parts that, one after the other, do what it does.

    Attributes:
        items: what needs one image at a time: everything up to the last part that is not known to work on batches.
        fields: types of the entries beside the image.
        batches: the rest, which works on batches.
        random: the random transforms of batches in both, in their order.
    """

    items: Compose
    fields: Compose
    batches: BatchPipeline
    random: Sequence[RandomStep]

    @property
    def slow_parts(self) -> list[str]:
        """Names of what works on one image at a time."""
        return [type(part).__name__ for part in list_parts(self.items)]


def split_transform(transform: Transform, key: str = "image") -> SplitTransform:
    """Split a transform of items.

    Args:
        transform: what follows where images are kept, or all of it.
        key: entry of the image.
    """
    items: list[Any] = []
    fields: list[Any] = []
    batches: list[BatchStep] = []
    for part in (parts := list_parts(transform)):
        if works_on_batches(part, key):
            batches.append(part)
        elif type(part) is EnsureTyped and key not in part.keys:
            fields.append(part)
        else:
            items, fields, batches = [*items, *fields, *batches, part], [], []
    random = [part for part in parts if isinstance(part, RandomStep)]
    whole = items and not batches  # as it is given, so that MONAI seeds its random parts as ever
    made = Compose(transform if whole else items)
    return SplitTransform(made, Compose([] if whole else fields), BatchPipeline(batches), random)


def list_parts(transform: Transform) -> list[Any]:
    """Return the parts of a transform, with those of nested ones in their place."""
    return list(_iterate_parts(transform))


def repeats_itself(transform: Transform) -> bool:
    """Return whether a transform is known to draw nothing at random in the process that loads images."""
    return all(type(part) in _REPEATABLE for part in list_parts(transform))


def _iterate_parts(transform: Transform) -> Iterator[Any]:
    if transform is None:
        return
    if type(transform) is Compose and transform.lazy is False:
        transform = transform.transforms
    if isinstance(transform, (list, tuple)):
        for part in transform:
            yield from _iterate_parts(part)
    else:
        yield transform
