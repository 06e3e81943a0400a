"""What a dataset is, as one validated JSON file: a new dataset is a new card, no Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from medmamba_monai.cards.layouts import (
    FoldersLayout,
    NpzLayout,
    RelativePath,
    SlidesLayout,
    Split,
    Strict,
    TableLayout,
)
from medmamba_monai.cards.records import Records
from medmamba_monai.core.config_text import check_config_text, check_prose
from medmamba_monai.core.documents import read_document, summarize_validation_error
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.images.intensity import Rules
from medmamba_monai.images.slides.tiles import Tiling

Task = Literal["binary", "multi-class", "ordinal", "multi-label"]
Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Text = Annotated[str, Field(min_length=1), AfterValidator(check_config_text)]
"""What is written into a bundle's metadata, which is part of its configs."""

Prose = Annotated[str, Field(min_length=1), AfterValidator(check_prose)]
"""What is written into documents alone."""
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]

THUMBNAIL = 512
"""Longer edge in pixels of the picture that stands for a slide wherever a person or a check looks at it."""


class ClinicalCode(Strict):
    """A code of a terminology, as DICOM holds one: SNOMED CT's "Pneumonia" is SCT, 233604007."""

    scheme: str = Field(
        pattern="^[A-Za-z0-9_.-]{1,16}$", description="DICOM's designator of the terminology: SCT, RADLEX"
    )
    value: str = Field(pattern="^[A-Za-z0-9_.-]{1,16}$", description="the code itself")
    meaning: Text = Field(max_length=64, description="its text in the terminology")


class DicomFacts(Strict):
    """What is known of the dataset's images in DICOM; what a study is answered by."""

    modality: tuple[Annotated[str, Field(pattern="^[A-Z0-9]{1,16}$")], ...] = Field(
        default=(), description="codes of the images that may be judged, such as CR and DX; empty where nobody said"
    )
    finding: ClinicalCode | None = Field(default=None, description="what the classes are about, in reports")


class ClassLabel(Strict):
    """One class; its place in the card's list is the label."""

    name: Text = Field(description="the class as the data spell it: folder name or value in a table")
    display_name: Text = Field(description="the class as a reader should see it")
    aliases: tuple[str, ...] = Field(default=(), description="other spellings in the data, or classes counted as this")
    code: ClinicalCode | None = Field(
        default=None, description="of the class in DICOM reports; without it, one of this project's own"
    )

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that the data may use; differences in case and between blank, ``_`` and ``-`` do not count."""
        return (self.name, *self.aliases)


class DataFile(Strict):
    """A file of the dataset, looked for below the dataset folder and downloaded where a direct link exists."""

    path: RelativePath
    url: Url | None = None
    bytes: Annotated[int, Field(gt=0)] | None = None
    md5: Md5 | None = None
    other_md5: dict[str, Md5] = Field(default_factory=dict, description="of other published versions, by name")
    image_size: Annotated[int, Field(gt=0, description="side of the images in pixels")] | None = None


class Reading(Strict):
    """How stored values become the scale 0 to 255: arguments of `ReadImage`, which says what each does."""

    dtype: Literal["uint8", "float32"] = Field(default="uint8", description="float32 does not round; needs more memory")
    intensity_range: tuple[float, float] | Literal["full", "image"] | None = Field(
        default=None, description="stored values that become 0 and 255; 'full': of their type; 'image': of each image"
    )
    window: tuple[float, float] | None = Field(default=None, description="center and width of a DICOM window")
    clip: bool = Field(default=False, description="whether values outside intensity_range are clipped, not an error")
    background: Annotated[int, Field(ge=0, le=255)] | tuple[int, int, int] | None = Field(
        default=None, description="what transparent images are laid on: gray, or red, green, blue"
    )
    frame: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        default=None, description="which frame of a file with several; 'all': each is an image, of one group"
    )
    fill_non_finite: float | None = Field(default=None, description="what stands for NaN and infinity")
    field_of_view: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        default=None, description="of volumes: the mm around their center that are shown, along x, y and z; null: all"
    )
    max_pixels: Annotated[int, Field(gt=0)] = 2**26

    @model_validator(mode="after")
    def _rules_make_sense(self) -> Reading:
        arguments = self.arguments()
        Rules(**{key: arguments[key] for key in arguments.keys() & Rules.__dataclass_fields__})
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what differs from the defaults, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


class ExpectedCount(Strict):
    """How many images a split has, and of each class where that is published."""

    images: Count
    classes: dict[str, Count] | None = None


class License(Strict):
    """The terms of the data."""

    name: Prose
    url: Url | None = None


class PublishedResult(Strict):
    """A figure that others printed for this dataset."""

    model: str
    accuracy: Fraction
    auc: Fraction
    source: str


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
    layout: Annotated[NpzLayout | FoldersLayout | TableLayout | SlidesLayout, Field(discriminator="kind")]
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
        """Return the arguments of `ReadImage` for this dataset, as plain values; a slide is read as its thumbnail."""
        thumbnail = {"thumbnail": THUMBNAIL} if self.tiling is not None else {}
        return {"channels": self.channels, "spatial_dims": self.spatial_dims, **self.reading.arguments(), **thumbnail}

    @property
    def label_layout(self) -> NpzLayout | FoldersLayout | TableLayout:
        """What says which class an image or a slide has."""
        return self.layout.labels if self.layout.kind == "slides" else self.layout

    @property
    def tiling(self) -> Tiling | None:
        """How slides are cut into tiles; None where the images are no slides."""
        return self.layout.tiling if self.layout.kind == "slides" else None

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
