"""Findings of a look for a dataset, whatever its layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medmamba_monai.cards.layouts import Split
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.samples import Sample

SHORT: dict[Split | None, str] = {"train": "train", "validation": "val", "test": "test", None: "image"}
"""How the id of a sample begins."""


class NotFoundError(UserError):
    """The data are not there, or not yet unpacked."""


@dataclass(frozen=True)
class FoundData:
    """What a dataset folder holds.

    Attributes:
        samples: every image, in a stable order.
        files: the files that the samples come from, relative to the dataset folder, in the written form.
        ignored: files among them that are no images of the dataset.
        remarks: what a careful reader should know: rows left out, training images dropped.
        checksum_mismatch: a line for each file that is not the published one, as was allowed.
    """

    samples: tuple[Sample, ...]
    files: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    checksum_mismatch: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One labelled image before it has an id."""

    text: str
    files: tuple[str, ...]
    label: int | tuple[int, ...]
    split: Split | None
    group: str | None


def number_samples(images: Sequence[FoundImage]) -> tuple[Sample, ...]:
    """Give each image its id: its split and its number in the order of the paths, never the path itself."""
    counts: dict[Split | None, int] = {}
    samples = []
    for image in images:
        number = counts.setdefault(image.split, 0)
        counts[image.split] += 1
        samples.append(Sample(f"{SHORT[image.split]}-{number:05d}", image.text, image.label, image.split, image.group))
    return tuple(samples)


def collect_files(images: Sequence[FoundImage]) -> tuple[str, ...]:
    """Return the files of the images, each once, in order."""
    return tuple(dict.fromkeys(file for image in images for file in image.files))


def quote_names(names: Sequence[str], shown: int = 20) -> str:
    """Quote names for a message, not more than a screen holds."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(repr(name) for name in names[:shown]) + more) or "none"
