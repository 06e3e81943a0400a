"""The fingerprint of a dataset on a machine: what the rules of a plan need to know, as a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from medmamba_monai.core.files import write_json

FILE_NAME = "fingerprint.json"


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
    """What computes.

    Attributes:
        cores: of its processors that may be used.
        memory_gib: of the device that are free.
        device: of trainings.
        cluster: of which it is a node; empty where the search trains on the machine that it was started on.
        at_once: how many trainings run at a time, on as many such nodes.
    """

    cores: int
    memory_gib: float
    device: str
    cluster: str = ""
    at_once: int = 1


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


class Spacing(_Strict):
    """Distance of pixels or voxels along each axis in mm, as the files of looked-at images tell it.

    Attributes:
        smallest: of all, along each axis.
        median: likewise.
        largest: likewise.
        images: that tell one.
    """

    smallest: tuple[float, ...]
    median: tuple[float, ...]
    largest: tuple[float, ...]
    images: int

    @property
    def ratio(self) -> float:
        """The largest over the smallest, along the axis where they differ most."""
        return max(large / small for small, large in zip(self.smallest, self.largest, strict=True))


class StartingWeights(_Strict):
    """Weights that candidates may begin with.

    Attributes:
        identity: their kind and SHA-256, as `describe_starting_weights` has them.
        network: name of the first of the networks to try that they fit, or of their own where they fit none.
        options: that make that network: ``network_name``, ``learning_rate``, of a MedMamba ``depths`` and ``channels``.
        notes: what is done to make them fit this dataset, in words.
    """

    identity: str
    network: str
    options: dict[str, Any]
    notes: tuple[str, ...]


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
        spacing: of their pixels, None where the files tell none, or not all along as many axes.
        seconds_per_image: of reading an image from its file.
        classes: by name, in label order.
        machine: what computes.
        speeds: by the name of a candidate, at the planned size and batch.
        too_large: names of networks of which even a small batch would not fit into the memory here.
        pretrained: weights that candidates may begin with, None where none were given.
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
    spacing: Spacing | None
    seconds_per_image: float
    classes: dict[str, ClassFacts]
    machine: Machine
    speeds: dict[str, Speed] = {}
    too_large: tuple[str, ...] = ()
    pretrained: StartingWeights | None = None
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
