"""What a dataset is, as one validated JSON file: a new dataset is a new card, no Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from medmamba_monai.data.documents import check_relative, read_document

Split = Literal["train", "validation", "test"]
Task = Literal["binary", "multi-class", "ordinal", "multi-label"]
RelativePath = Annotated[str, AfterValidator(check_relative)]
Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassLabel(_Strict):
    """One class; its place in the card's list is the label."""

    name: str = Field(min_length=1, description="the class as the data spell it: folder name or value in a table")
    display_name: str = Field(min_length=1, description="the class as a reader should see it")


class DataFile(_Strict):
    """A file of the dataset, looked for below the dataset folder and downloaded where a direct link exists."""

    path: RelativePath
    url: Url | None = None
    bytes: Annotated[int, Field(gt=0)] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    image_size: Annotated[int, Field(gt=0, description="side of the images in pixels")] | None = None


class NpzLayout(_Strict):
    """MedMNIST's layout: ``{train,val,test}_{images,labels}`` in one npz file, with an official split."""

    kind: Literal["npz"]

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images."""
        return True


class FoldersLayout(_Strict):
    """One folder per class, named as the class; below a folder per split where there is an official split."""

    kind: Literal["folders"]
    split_folders: dict[Split, RelativePath] = Field(
        default_factory=dict, description="folder of each official split; empty where there is none"
    )

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images."""
        return "test" in self.split_folders

    @model_validator(mode="after")
    def _has_training_images(self) -> FoldersLayout:
        if self.split_folders and "train" not in self.split_folders:
            raise ValueError("split_folders needs 'train'")
        return self


class ExpectedCount(_Strict):
    """How many images a split has, and of each class where that is published."""

    images: Count
    classes: dict[str, Count] | None = None


class License(_Strict):
    """The terms of the data."""

    name: str
    url: Url | None = None


class PublishedResult(_Strict):
    """A figure that others printed for this dataset."""

    model: str
    accuracy: Fraction
    auc: Fraction
    source: str


class DatasetCard(_Strict):
    """One dataset: what is in it, where it comes from, what is known to be wrong with it."""

    schema_file: str = Field(default="", alias="$schema", exclude=True, description="for editors")
    name: str = Field(pattern="^[a-z0-9][a-z0-9_]*$", description="short name: folder of the card and of the bundle")
    title: str
    description: str
    modality: str
    spatial_dims: Literal[2, 3]
    channels: Literal[1, 3] = Field(description="1: gray, 3: red, green, blue")
    image_size: Annotated[int, Field(gt=0)] = Field(default=224, description="side in pixels the network is given")
    task: Task
    classes: tuple[ClassLabel, ...] = Field(min_length=2, description="in label order")
    layout: Annotated[NpzLayout | FoldersLayout, Field(discriminator="kind")]
    files: tuple[DataFile, ...] = Field(default=(), description="the first one is downloaded where none is there")
    how_to_obtain: str = Field(description="what a person does who does not have the data yet")
    expected_counts: dict[Split | Literal["all"], ExpectedCount] = Field(
        description="per official split, or 'all'; empty where nothing is published"
    )
    license: License
    authors: str = Field(description="who made the data")
    homepage: Url | None = None
    references: tuple[str, ...] = Field(description="what to cite, the dataset's own publication first")
    intended_use: str = "Research only: not a medical device, not for diagnosis."
    known_problems: tuple[str, ...] = ()
    published_results: tuple[PublishedResult, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(label.name for label in self.classes)

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
        if len(set(self.class_names)) != self.num_classes:
            raise ValueError(f"classes: names must differ, found {list(self.class_names)}")
        if (self.task == "binary") != (self.num_classes == 2) and self.task != "multi-label":
            raise ValueError(f"task: {self.task!r} does not fit {self.num_classes} classes; two classes are 'binary'")
        return self

    @model_validator(mode="after")
    def _counts_fit_the_classes(self) -> DatasetCard:
        if "all" in self.expected_counts and len(self.expected_counts) > 1:
            raise ValueError("expected_counts: give 'all' or the splits, not both")
        for split, count in self.expected_counts.items():
            if count.classes is None:
                continue
            if set(count.classes) != set(self.class_names):
                raise ValueError(f"expected_counts.{split}.classes: must name {list(self.class_names)}")
            total = sum(count.classes.values())
            if self.task != "multi-label" and total != count.images:
                raise ValueError(f"expected_counts.{split}: images is {count.images}, the classes add up to {total}")
        return self

    @model_validator(mode="after")
    def _files_fit_the_layout(self) -> DatasetCard:
        if self.layout.kind == "npz" and not self.files:
            raise ValueError("files: the npz layout needs at least one file")
        return self


def load_card(path: str | Path) -> DatasetCard:
    """Read a ``card.json``.

    Raises:
        UserError: the file is missing, is not JSON or does not fit the schema; names the file, field and value.
    """
    return read_document(Path(path), DatasetCard)


def card_schema() -> str:
    """Return the JSON Schema of a card, as in ``data_lists/card.schema.json``."""
    return json.dumps(DatasetCard.model_json_schema(by_alias=True), indent=2) + "\n"
