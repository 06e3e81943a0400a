"""Looking at a dataset: its fingerprint, from some images of each class and what this machine is."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from medmamba_monai.auto.fingerprint import ClassFacts, Fingerprint, Machine, Spacing
from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.memory import measure_available_memory
from medmamba_monai.data.cache.device import measure_free_gpu_memory
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.samples import Sample, list_labels
from medmamba_monai.images.read import ReadImage

_IMAGES_PER_CLASS = 40
_PIXELS_PER_IMAGE = 4096
_PERCENTILES = (1, 50, 99)


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


def describe_machine(device_name: str = "auto") -> Machine:
    """Return what this machine has for a training on a device."""
    device = resolve_device(device_name)
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


def _find_spacing(spacings: Sequence[tuple[float, ...]]) -> Spacing | None:
    """Return what spacings have in common, where all images that tell one have as many axes."""
    if not spacings or len({len(spacing) for spacing in spacings}) > 1:
        return None
    found = {
        name: tuple(round(float(value), 4) for value in summarize(np.array(spacings), axis=0))
        for name, summarize in (("smallest", np.min), ("median", np.median), ("largest", np.max))
    }
    return Spacing(**found, images=len(spacings))


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
