"""The saved folds: an MSD-style list with a digest, written once by ``prepare`` and checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from medmamba_monai.cards.card import DatasetCard
from medmamba_monai.cards.parts import Count, Task
from medmamba_monai.cards.records import RecordColumn
from medmamba_monai.core.documents import check_relative
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.records import resolve_columns
from medmamba_monai.data.folds.make import Folds, Protocol
from medmamba_monai.data.samples import Record, Sample

Image = Annotated[str, AfterValidator(check_relative)]
Part = dict[str, list[dict[str, Any]]]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Strict):
    """A file that the images come from, as it was when the folds were made."""

    path: Image
    bytes: Count
    md5: str


class TestItem(_Strict):
    """One image of the test set."""

    __test__ = False  # not a test for pytest

    id: str
    image: Image
    label: Count | tuple[Annotated[int, Field(ge=0, le=1)], ...]
    group: str | None = None
    record: Record | None = None


class TrainingItem(TestItem):
    """One image that belongs to a fold."""

    fold: Count


class HoldOut(_Strict):
    """How a test part was chosen of images that have no official one."""

    share: float
    seed: int


class FoldList(_Strict):
    """The samples of a dataset, each with its label and its fold.

    The names of the fields in the file are those of the Medical Segmentation Decathlon where it has one.
    """

    path: Path = Field(exclude=True)
    dataset_dir: Path = Field(exclude=True)
    name: str
    description: str
    licence: str
    reference: str
    tensor_image_size: str = Field(alias="tensorImageSize")
    modality: dict[str, str]
    labels: dict[str, str]
    num_training: Count = Field(alias="numTraining")
    num_test: Count = Field(alias="numTest")
    task: Task
    num_folds: int
    seed: int
    protocol: Protocol
    hold_out: HoldOut | None = Field(default=None, description="how the test part was chosen; none is official")
    reading: dict[str, Any] = Field(description="how stored values become 0 to 255: arguments of ReadImage")
    allow_links: bool = Field(default=False, description="whether images may be links that leave the dataset folder")
    count_mismatch: tuple[str, ...] = ()
    checksum_mismatch: tuple[str, ...] = ()
    sources: tuple[Source, ...]
    digest: str
    training: tuple[TrainingItem, ...]
    test: tuple[TestItem, ...]
    validation: dict[int, tuple[str, ...]] | None = None
    records: tuple[RecordColumn, ...] | None = Field(
        default=None, description="columns of each image's record, which the digest of the folds leaves out"
    )
    checksum: str | None = Field(default=None, description="of all that the file holds beside it; none in old lists")

    @field_validator("labels")
    @classmethod
    def _labels_are_numbered(cls, labels: dict[str, str]) -> dict[str, str]:
        if set(labels) != {str(label) for label in range(len(labels))}:
            raise ValueError(f"must be numbered from 0 to {len(labels) - 1}")
        return labels

    @model_validator(mode="after")
    def _labels_are_of_the_task(self) -> FoldList:
        several = self.task == "multi-label"
        for item in (*self.training, *self.test):
            fits = isinstance(item.label, tuple) == several
            if not fits or (len(item.label) if isinstance(item.label, tuple) else item.label + 1) > len(self.labels):
                raise ValueError(f"{item.id}: label {item.label} does not fit {len(self.labels)} labels, {self.task}")
        return self

    @model_validator(mode="after")
    def _records_are_of_the_columns(self) -> FoldList:
        kinds = [float if column.kind == "number" else str for column in self.records or ()]
        for item in (*self.training, *self.test):
            values = item.record or ()
            fits = (item.record is None) == (self.records is None) and len(values) == len(kinds)
            if not fits or any(v is not None and type(v) is not kind for v, kind in zip(values, kinds, strict=True)):
                raise ValueError(f"{item.id}: its record does not fit the list's {len(kinds)} columns of records")
        return self

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Name what tells one list from another; its samples would fill the screen."""
        for name in ("name", "task", "num_images", "num_folds", "protocol"):
            yield name, getattr(self, name)
        yield "digest", self.digest[:12]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(self.labels[str(label)] for label in range(len(self.labels)))

    @property
    def folder(self) -> DatasetFolder:
        """The folder of the images, and whether links may lead out of it."""
        return DatasetFolder(self.dataset_dir, self.allow_links)

    @property
    def has_test_set(self) -> bool:
        """Whether there are test images that no fold trains or selects on, official or held out."""
        return self.protocol != "cross-validation"

    @property
    def num_images(self) -> int:
        """Number of images, those of the test set included."""
        return len(self.training) + len(self.test)

    @cached_property
    def has_groups(self) -> bool:
        """Whether it is known of any image which patient or other group it belongs to."""
        return any(item.group is not None for item in (*self.training, *self.test))

    @property
    def records_digest(self) -> str | None:
        """The SHA-256 of the records' columns and values; None of a list without records.

        It is not part of `digest`: records that come later leave the folds, and runs on them, what they were.
        """
        if self.records is None:
            return None
        columns = [column.model_dump(mode="json") for column in self.records]
        text = json.dumps([columns, sorted((item.id, item.record) for item in (*self.training, *self.test))])
        return hashlib.sha256(text.encode()).hexdigest()

    def parts(self, fold: int) -> Part:
        """Return what a fold trains on, selects on and reports on.

        Args:
            fold: 0 to ``num_folds - 1``.

        Returns:
            ``train``, ``validation`` and ``test``, each a list of ``{"id", "image", "label", "row"}``. The image is an
            absolute path, or ``file.npz#key[index]`` with an absolute path; the label an index, or for a multi-label
            task an int64 array (classes,) of 0 and 1; the row the image's own number from 0 to ``num_images - 1``.
            Where the list tells groups (patients), each also has its ``group``, by itself an image's own id.

        Raises:
            UserError: there is no such fold.
        """
        if not isinstance(fold, int) or isinstance(fold, bool) or not 0 <= fold < self.num_folds:
            raise UserError(f"fold: {self.path} has the folds 0 to {self.num_folds - 1}, found {fold!r}; choose one")
        chosen = set() if self.has_test_set else set((self.validation or {})[fold])
        folder = DatasetFolder(self.dataset_dir.absolute(), self.allow_links)
        parts: Part = {"train": [], "validation": [], "test": []}
        for row, item in enumerate((*self.training, *self.test)):
            group = {"group": item.group or item.id} if self.has_groups else {}
            parts[self._part_of(item, fold, chosen)].append(_make_item(item, row, folder) | group)
        return parts

    def _part_of(self, item: TestItem, fold: int, chosen: set[str]) -> str:
        if not isinstance(item, TrainingItem):
            return "test"
        if item.fold == fold:
            return "validation" if self.has_test_set else "test"
        return "validation" if item.id in chosen else "train"

    def write(self, path: str | Path | None = None) -> None:
        """Write the list, whole or not at all.

        Args:
            path: where to, ``self.path`` by default.

        Raises:
            UserError: it cannot be written.
        """
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"checksum"})
        write_json(path or self.path, {**content, "checksum": compute_content_checksum(content)})

    def compute_digest(self) -> str:
        """Return the SHA-256 of all that decides what a fold sees: images, their files, labels, parts and reading."""
        items = sorted((item.id, item.image, item.label, item.fold, item.group or "") for item in self.training)
        canonical = {
            "name": self.name,
            "task": self.task,
            "reading": self.reading,
            "sources": sorted((source.path, source.md5) for source in self.sources),
            "protocol": self.protocol,
            "num_folds": self.num_folds,
            "class_names": self.class_names,
            "training": items,
            "test": sorted((item.id, item.image, item.label, item.group or "") for item in self.test),
            "validation": {str(fold): sorted(ids) for fold, ids in (self.validation or {}).items()},
        }
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def images_digest(self) -> str:
        """The SHA-256 of all that decides what the pixels of each ``row`` are, before they are read in some way."""
        images = [item.image for item in (*self.training, *self.test)]
        text = json.dumps([images, [(source.path, source.md5) for source in self.sources]])
        return hashlib.sha256(text.encode()).hexdigest()


def compute_content_checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content of a list's file, its ``checksum`` left out.

    The digest tells what decides a fold; this tells that nothing at all was changed.
    """
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _make_item(item: TestItem, row: int, folder: DatasetFolder) -> dict[str, Any]:
    return {
        "id": item.id,
        "image": str(folder.locate(item.image)),
        "label": item.label if isinstance(item.label, int) else np.array(item.label, dtype=np.int64),
        "row": row,
    }


def build_fold_list(
    card: DatasetCard,
    samples: Sequence[Sample],
    folds: Folds,
    sources: Sequence[Source],
    folder: DatasetFolder,
    path: Path,
    count_mismatch: Sequence[str] = (),
    checksum_mismatch: Sequence[str] = (),
    hold_out: HoldOut | None = None,
) -> FoldList:
    """Put a card, its samples and their folds together as a list, with its digest."""
    training = [_make_training_item(sample, folds) for sample in samples if sample.id in folds.fold]
    test = [
        TestItem(id=sample.id, image=sample.image, label=sample.label, group=sample.group, record=sample.record)
        for sample in samples
        if sample.id not in folds.fold
    ]
    draft = FoldList(
        path=path,
        dataset_dir=folder.root,
        name=card.name,
        description=card.description,
        licence=card.license.name,
        reference=card.references[0] if card.references else card.authors,
        tensorImageSize=f"{card.spatial_dims}D",
        modality={"0": card.modality},
        labels={str(label): name for label, name in enumerate(card.class_names)},
        numTraining=len(training),
        numTest=len(test),
        task=card.task,
        num_folds=folds.num_folds,
        seed=folds.seed,
        protocol=folds.protocol,
        hold_out=hold_out,
        reading=card.reading_arguments(),
        allow_links=folder.allow_links,
        count_mismatch=tuple(count_mismatch),
        checksum_mismatch=tuple(checksum_mismatch),
        sources=tuple(sources),
        digest="",
        training=tuple(training),
        test=tuple(test),
        validation=folds.validation or None,
        records=resolve_columns(card.records, samples),
    )
    return draft.model_copy(update={"digest": draft.compute_digest()})


def _make_training_item(sample: Sample, folds: Folds) -> TrainingItem:
    return TrainingItem(
        id=sample.id,
        image=sample.image,
        label=sample.label,
        fold=folds.fold[sample.id],
        group=sample.group,
        record=sample.record,
    )
