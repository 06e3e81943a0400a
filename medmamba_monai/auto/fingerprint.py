"""The fingerprint of a dataset on a machine: what the rules of a plan need to know, as a document."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.memory import measure_available_memory
from medmamba_monai.data.cache.device import measure_free_gpu_memory
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.samples import Sample, list_labels
from medmamba_monai.images.read import ReadImage

FILE_NAME = "fingerprint.json"
_IMAGES_PER_CLASS = 40
_PIXELS_PER_IMAGE = 4096
_PERCENTILES = (1, 50, 99)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassFacts(_Strict):
    """One class, or one label of several.

    Attributes:
        images: how many have it, test images left out.
        groups: patients or other groups that have it; an image without one counts by itself.
        mean: of its looked-at images' pixels, 0 to 255.
        deviation: standard deviation of the same pixels.
        percentiles: 1st, 50th and 99th of the same pixels.
    """

    images: int
    groups: int
    mean: float
    deviation: float
    percentiles: tuple[float, float, float]


class Machine(_Strict):
    """What computes: processor cores that may be used, GiB of the device that are free, and the device of trainings."""

    cores: int
    memory_gib: float
    device: str


class Speed(_Strict):
    """How fast a network is here.

    Attributes:
        step: seconds of a training step on one batch, augmentation included.
        forward: seconds of a batch that is only predicted.
        memory_gib: what a step on one batch keeps in memory for its backward pass.
    """

    step: float
    forward: float
    memory_gib: float = 0.0

    def scale(self, factor: float) -> Speed:
        """Return the speed on batches that are so many times as large."""
        return Speed(step=self.step * factor, forward=self.forward * factor, memory_gib=self.memory_gib * factor)


class Findings(_Strict):
    """What `prepare` found in all images.

    Attributes:
        image_sizes: number of images by size.
        copies: images that are exact copies of others, themselves included.
        warnings: what may make results better or worse than they should be.
    """

    image_sizes: dict[str, int]
    copies: int
    warnings: tuple[str, ...]


class Fingerprint(_Strict):
    """A dataset as the rules see it.

    Attributes:
        dataset: its short name.
        title: its name for readers.
        task: as the card has it.
        modality: what made the images.
        spatial_dims: 2 for images, 3 for volumes.
        channels: 1 or 3.
        official_test: whether the dataset has a test set of its own.
        images: that are not test images.
        test_images: of the official test set.
        groups: patients or other groups that are known, 0 where none are.
        most_images_in_a_group: of one patient or other group.
        records: names of the clinical records that the card declares.
        looked_at: images that were read for what follows.
        sides: smallest, median and largest of the longest sides of the looked-at images, in pixels.
        spacing: median distance of pixels along each axis in mm, None where the files tell none.
        seconds_per_image: of reading an image from its file.
        classes: by name, in label order.
        machine: what computes.
        speeds: by the name of a candidate, at the planned size and batch.
        findings: of `prepare`.
    """

    dataset: str
    title: str
    task: str
    modality: str
    spatial_dims: int
    channels: int
    official_test: bool
    images: int
    test_images: int
    groups: int
    most_images_in_a_group: int
    records: tuple[str, ...] = ()
    looked_at: int
    sides: tuple[int, int, int]
    spacing: tuple[float, ...] | None
    seconds_per_image: float
    classes: dict[str, ClassFacts]
    machine: Machine
    speeds: dict[str, Speed] = {}
    findings: Findings | None = None

    @property
    def imbalance(self) -> float:
        """Images of the most frequent class for one of the rarest; of several labels, those without it for one with."""
        counts = [facts.images for facts in self.classes.values()]
        if self.task == "multi-label":
            return max((self.images - count) / max(1, count) for count in counts)
        return max(counts) / max(1, min(counts))

    @property
    def rarest(self) -> str:
        """Name of the class with the fewest images."""
        return min(self.classes, key=lambda name: self.classes[name].images)

    def write(self, folder: Path) -> None:
        """Write it into the folder of a search."""
        write_json(folder / FILE_NAME, self.model_dump(mode="json"))


def take_fingerprint(card: DatasetCard, folder: DatasetFolder, samples: Sequence[Sample]) -> Fingerprint:
    """Look at a dataset: count its classes and groups, and read some images of each class.

    Args:
        card: the dataset.
        folder: of its images.
        samples: all of its samples, as they were found.

    Raises:
        UserError: an image cannot be read, or a class has none that is not a test image.
    """
    training = [sample for sample in samples if sample.split != "test"]
    looked = _look_at_some(card, folder, training)
    if empty := [name for label, name in enumerate(card.class_names) if label not in looked]:
        raise UserError(
            f"{card.name}: no image to learn {empty[0]!r} from was found among {len(training)}; add some, or leave "
            "that class or label out"
        )
    group_sizes = Counter(sample.group for sample in training if sample.group is not None)
    sides = sorted(side for look in looked.values() for side in look.sides)
    number = len(sides)
    return Fingerprint(
        dataset=card.name,
        title=card.title,
        task=card.task,
        modality=card.modality,
        spatial_dims=card.spatial_dims,
        channels=card.channels,
        official_test=card.official_test,
        images=len(training),
        test_images=len(samples) - len(training),
        groups=len(group_sizes),
        most_images_in_a_group=max(group_sizes.values(), default=1),
        records=() if card.records is None else tuple(column.name for column in card.records.columns),
        looked_at=number,
        sides=(sides[0], sides[number // 2], sides[-1]),
        spacing=_find_spacing([spacing for look in looked.values() for spacing in look.spacings]),
        seconds_per_image=sum(look.seconds for look in looked.values()) / number,
        classes={name: _describe_class(training, label, looked[label]) for label, name in enumerate(card.class_names)},
        machine=describe_machine(),
    )


def describe_machine() -> Machine:
    """Return what this machine has for a training."""
    device = resolve_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round((measure_free_gpu_memory(device) or measure_available_memory()) / 2**30, 1),
        device=name,
    )


class _Look:
    """What some images of a class were like."""

    def __init__(self) -> None:
        self.sides: list[int] = []
        self.spacings: list[tuple[float, ...]] = []
        self.pixels: list[np.ndarray] = []
        self.seconds = 0.0


def _look_at_some(card: DatasetCard, folder: DatasetFolder, samples: Sequence[Sample]) -> dict[int, _Look]:
    read = ReadImage(card.channels, card.spatial_dims, **card.reading.arguments())
    looks: dict[int, _Look] = defaultdict(_Look)
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        for label in list_labels(sample.label):
            by_class[label].append(sample)
    for label, members in by_class.items():
        for sample in members[:: max(1, len(members) // _IMAGES_PER_CLASS)][:_IMAGES_PER_CLASS]:
            _look_at(str(folder.locate(sample.image)), read, looks[label])
    return looks


def _look_at(path: str, read: ReadImage, look: _Look) -> None:
    began = time.perf_counter()
    pixels, facts = read.read_with_facts(path)
    look.seconds += time.perf_counter() - began
    look.sides.append(max(pixels.shape[1:]))
    values = pixels.numpy().ravel()
    look.pixels.append(values[:: max(1, len(values) // _PIXELS_PER_IMAGE)])
    spacing = facts.origin.get("pixel spacing", facts.origin.get("voxel spacing"))
    if isinstance(spacing, tuple):
        look.spacings.append(spacing)


def _find_spacing(spacings: Sequence[tuple[float, ...]]) -> tuple[float, ...] | None:
    """Return the median along each axis, where all images that tell one have as many axes."""
    if not spacings or len({len(spacing) for spacing in spacings}) > 1:
        return None
    return tuple(round(float(np.median(values)), 4) for values in zip(*spacings, strict=True))


def _describe_class(samples: Sequence[Sample], label: int, look: _Look) -> ClassFacts:
    members = [sample for sample in samples if label in list_labels(sample.label)]
    pixels = np.concatenate(look.pixels)
    low, middle, high = (round(float(value), 1) for value in np.percentile(pixels, _PERCENTILES))
    return ClassFacts(
        images=len(members),
        groups=len({sample.group if sample.group is not None else sample.id for sample in members}),
        mean=round(float(pixels.mean()), 1),
        deviation=round(float(pixels.std()), 1),
        percentiles=(low, middle, high),
    )
