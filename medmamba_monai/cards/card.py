"""What a dataset is, as one validated JSON file: a new dataset is a new card, no Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from medmamba_monai.cards.layouts import (
    FoldersLayout,
    NpzLayout,
    PatchesLayout,
    SlidesLayout,
    Split,
    Strict,
    TableLayout,
)
from medmamba_monai.cards.parts import (
    OVERVIEW,
    THUMBNAIL,
    ClassLabel,
    DataFile,
    DicomFacts,
    ExpectedCount,
    License,
    Prose,
    PublishedResult,
    Reading,
    Task,
    Text,
    Url,
)
from medmamba_monai.cards.records import Records
from medmamba_monai.core.config_text import check_config_text
from medmamba_monai.core.documents import read_document, summarize_validation_error
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.images.patches import Patching
from medmamba_monai.images.slides.tiles import Tiling


class DatasetCard(Strict):
    """One dataset: what is in it, where it comes from, what is known to be wrong with it."""

    schema_file: str = Field(default="", alias="$schema", exclude=True, description="for editors")
    name: str = Field(pattern="^[a-z0-9][a-z0-9_]*$", description="short name: folder of the card and of the bundle")
    title: Text
    description: Text
    modality: Text
    spatial_dims: Literal[2, 3]
    channels: Literal[1, 3] = Field(description="1: gray, 3: red, green, blue")
    image_size: Annotated[int, Field(gt=0)] = Field(default=224, description="side in pixels the network is given")
    task: Task
    flips: Literal["none", "horizontal", "all"] = Field(
        default="none",
        description="mirror images that could be real ones of the same class: none where left and right differ (chest, "
        "abdomen), horizontal, or along every axis (cells, skin); what recipes and test-time augmentation may do",
    )
    classes: tuple[ClassLabel, ...] = Field(min_length=2, description="in label order")
    layout: Annotated[
        NpzLayout | FoldersLayout | TableLayout | SlidesLayout | PatchesLayout, Field(discriminator="kind")
    ]
    records: Records | None = Field(default=None, description="what is known of each image beside its pixels")
    reading: Reading = Field(default_factory=Reading)
    dicom: DicomFacts = Field(default_factory=DicomFacts)
    files: tuple[DataFile, ...] = Field(
        default=(), description="npz: the first one is downloaded where none is there; else the archives to unpack"
    )
    how_to_obtain: Prose = Field(description="what a person does who does not have the data yet")
    expected_counts: dict[Split | Literal["all"], ExpectedCount] = Field(
        description="per official split, or 'all'; empty where nothing is published"
    )
    other_versions: dict[str, dict[Split | Literal["all"], ExpectedCount]] = Field(
        default_factory=dict, description="counts of other published versions that are accepted, by name"
    )
    license: License
    authors: Prose = Field(description="who made the data")
    homepage: Annotated[Url, AfterValidator(check_config_text)] | None = None
    references: tuple[Text, ...] = Field(description="what to cite, the dataset's own publication first")
    intended_use: Text = "Research only: not a medical device, not for diagnosis."
    known_problems: tuple[Prose, ...] = ()
    published_results: tuple[PublishedResult, ...] = ()

    def reading_arguments(self) -> dict[str, Any]:
        """Return the arguments of `ReadImage` for this dataset, as plain values.

        A slide is read as its thumbnail, and so is a volume that is cut into patches.
        """
        edge = {"slides": THUMBNAIL, "patches": OVERVIEW}.get(self.layout.kind)
        thumbnail = {} if edge is None else {"thumbnail": edge}
        return {"channels": self.channels, "spatial_dims": self.spatial_dims, **self.reading.arguments(), **thumbnail}

    @property
    def label_layout(self) -> NpzLayout | FoldersLayout | TableLayout:
        """What says which class an image or a slide has."""
        return self.layout.labels if isinstance(self.layout, SlidesLayout | PatchesLayout) else self.layout

    @property
    def tiling(self) -> Tiling | None:
        """How slides are cut into tiles; None where the images are no slides."""
        return self.layout.tiling if self.layout.kind == "slides" else None

    @property
    def patching(self) -> Patching | None:
        """How volumes are cut into patches; None where they are read whole."""
        return self.layout.patching if self.layout.kind == "patches" else None

    @property
    def cutting(self) -> Tiling | Patching | None:
        """How images are cut into what features are made of; None where networks are given whole images."""
        return self.tiling or self.patching

    @property
    def every_frame(self) -> bool:
        """Whether each frame of a file with several is an image."""
        return self.reading.frame == "all"

    @property
    def activation(self) -> Literal["softmax", "sigmoid"]:
        """What makes probabilities of the network's logits."""
        return "sigmoid" if self.task == "multi-label" else "softmax"

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The spatial axes along which images may be mirrored; left and right are the last."""
        axes = tuple(range(self.spatial_dims))
        return {"none": (), "horizontal": axes[-1:], "all": axes}[self.flips]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(label.name for label in self.classes)

    @property
    def display_names(self) -> tuple[str, ...]:
        """Names for readers, in label order."""
        return tuple(label.display_name for label in self.classes)

    def label_of(self, spelling: str) -> int | None:
        """Return the label that a folder name or a value in a table stands for; None for none."""
        wanted = comparable(spelling)
        for index, label in enumerate(self.classes):
            if wanted in map(comparable, label.spellings):
                return index
        return None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images; if not, folds take turns as test part."""
        return self.layout.official_test

    @model_validator(mode="after")
    def _classes_fit_the_task(self) -> DatasetCard:
        first: dict[str, tuple[int, str]] = {}
        for place, name in ((place, name) for place, label in enumerate(self.classes) for name in label.spellings):
            if (key := comparable(name)) in first:
                before = "{1!r} of class {0}".format(*first[key])
                raise ValueError(
                    "classes: names and aliases must differ in more than case, blanks, _, - and zeros of numbers: "
                    f"{before} and {name!r} of class {place} are one"
                )
            first[key] = (place, name)
        if len(set(self.display_names)) != self.num_classes:
            raise ValueError(f"classes: display names must differ, found {list(self.display_names)}")
        if (self.task == "binary") != (self.num_classes == 2) and self.task != "multi-label":
            raise ValueError(f"task: {self.task!r} does not fit {self.num_classes} classes; two classes are 'binary'")
        return self

    @model_validator(mode="after")
    def _counts_fit_the_classes(self) -> DatasetCard:
        versions = {"expected_counts": self.expected_counts} | {
            f"other_versions.{name}": counts for name, counts in self.other_versions.items()
        }
        for where, counts in versions.items():
            if "all" in counts and len(counts) > 1:
                raise ValueError(f"{where}: give 'all' or the splits, not both")
            for split, count in counts.items():
                self._check_count(f"{where}.{split}", count)
        return self

    def _check_count(self, where: str, count: ExpectedCount) -> None:
        if count.classes is None:
            return
        if set(count.classes) != set(self.class_names):
            raise ValueError(f"{where}.classes: must name {list(self.class_names)}")
        total = sum(count.classes.values())
        if self.task != "multi-label" and total != count.images:
            raise ValueError(f"{where}: images is {count.images}, the classes add up to {total}")

    @model_validator(mode="after")
    def _reading_fits(self) -> DatasetCard:
        if self.reading.field_of_view is not None and self.spatial_dims != 3:
            raise ValueError(f"reading.field_of_view: is for volumes, but spatial_dims is {self.spatial_dims}")
        return self

    @model_validator(mode="after")
    def _layout_fits(self) -> DatasetCard:
        layout = self.label_layout
        if layout.kind == "npz" and not self.files:
            raise ValueError("files: the npz layout needs at least one file")
        if layout.kind == "folders" and self.task == "multi-label":
            raise ValueError("task: an image in a class folder has one label; multi-label needs a table or an npz file")
        if layout.kind == "table":
            several = self.task == "multi-label"
            if (several and layout.label_columns is layout.label_separator) or (layout.label_separator and not several):
                raise ValueError(
                    "layout: the task 'multi-label' needs label_columns or label_separator; the latter belongs to no "
                    "other task"
                )
            if layout.label_columns is not None and len(layout.label_columns) != self.num_classes:
                raise ValueError(f"layout.label_columns: must name one column for each of {self.num_classes} classes")
        return self

    @model_validator(mode="after")
    def _slides_fit(self) -> DatasetCard:
        if self.tiling is None:
            return self
        if (self.channels, self.spatial_dims) != (3, 2):
            raise ValueError("layout: slides are color images of two dimensions; set channels to 3, spatial_dims to 2")
        if said := self.reading.arguments():
            raise ValueError(f"reading: slides have rules of their own; leave {', '.join(said)} out")
        if self.flips != "none":
            raise ValueError("flips: tiles of slides are not mirrored; set it to 'none'")
        return self

    @model_validator(mode="after")
    def _patches_fit(self) -> DatasetCard:
        if self.patching is None:
            return self
        if (self.channels, self.spatial_dims) != (1, 3):
            raise ValueError("layout: patches are of gray volumes; set channels to 1, spatial_dims to 3")
        if self.reading.intensity_range == "image":
            raise ValueError("reading.intensity_range: each patch would have a range of its own; give two numbers")
        if said := self.reading.arguments().keys() & {"dtype", "field_of_view", "frame", "background"}:
            raise ValueError(f"reading: patches are read without {', '.join(sorted(said))}; leave it out")
        if self.flips != "none":
            raise ValueError("flips: patches of volumes are not mirrored; set it to 'none'")
        return self

    @model_validator(mode="after")
    def _records_fit_the_layout(self) -> DatasetCard:
        records, layout = self.records, self.label_layout
        if records is None:
            return self
        if records.path is None and layout.kind != "table":
            raise ValueError(f"records: the layout {layout.kind!r} has no table of labels; name their own with path")
        if records.path is not None and (records.index_column is not None) != (layout.kind == "npz"):
            raise ValueError("records: images of an npz file are named by split_column and index_column, no others are")
        if layout.kind == "table" and records.path in (None, layout.path):
            told = {layout.image_column, layout.label_column, layout.group_column, layout.split_column}
            told |= set(layout.label_columns or ())
            if taken := [column.name for column in records.columns if column.name in told]:
                raise ValueError(f"records: {taken[0]!r} is the image, label, group or split of the layout, no record")
        return self


def load_card(path: str | Path) -> DatasetCard:
    """Read a ``card.json``.

    Raises:
        UserError: the file is missing, is not JSON or does not fit the schema; names the file, field and value.
    """
    return read_document(Path(path), DatasetCard)


def check_card(content: dict[str, Any], where: str) -> DatasetCard:
    """Check the content of a card.

    Args:
        content: the fields.
        where: what is checked, for the message.

    Raises:
        UserError: it does not fit the schema; names the field and value.
    """
    try:
        return DatasetCard.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where}: {summarize_validation_error(error)}") from error


def format_card_schema() -> str:
    """Return the JSON Schema of a card, as in ``data_lists/card.schema.json``."""
    return json.dumps(DatasetCard.model_json_schema(by_alias=True), indent=2) + "\n"
