"""How a dataset lies on the disk, as a card declares it: npz file, folder per class, table, slides or patches."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from medmamba_monai.core.documents import check_relative
from medmamba_monai.images.patches import Patching
from medmamba_monai.images.slides.tiles import Tiling

Split = Literal["train", "validation", "test"]
SPLIT_SPELLINGS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""What folders and tables call the splits; case does not count."""

RelativePath = Annotated[str, AfterValidator(check_relative)]


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from error
    if groups != 1:
        raise ValueError("must have exactly one pair of parentheses, around what the images of a group share")
    return pattern


GroupPattern = Annotated[str, AfterValidator(_one_group)]


class Strict(BaseModel):
    """A part of a card: unknown fields are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JoinedTable(Strict):
    """A second table that knows the group of what the first one names."""

    path: RelativePath = Field(description="name of the file, looked for below the dataset folder")
    key_column: str = Field(description="holds what the group column of the first table holds")
    group_column: str
    separator: str = Field(default=",", min_length=1, max_length=1)


class GroupTable(Strict):
    """A table beside the images that tells which of them belong together: one patient, one lesion, one scan."""

    path: RelativePath = Field(description="name of the file, looked for below the dataset folder")
    image_column: str | None = Field(
        default=None, description="file name of the image, or its path, with or without its suffix"
    )
    split_column: str | None = Field(default=None, description="npz: train, val or test")
    index_column: str | None = Field(default=None, description="npz: number of the image within its split")
    group_column: str
    group_pattern: GroupPattern | None = Field(
        default=None, description="what of the group column names the group; the whole value by default"
    )
    join: JoinedTable | None = None
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    required: bool = Field(default=False, description="whether the dataset is incomplete without it")
    drop_leaks: bool = Field(
        default=False, description="whether training images of a group of the official test set are left out"
    )

    @model_validator(mode="after")
    def _names_images_in_one_way(self) -> GroupTable:
        by_place = (self.split_column is not None, self.index_column is not None)
        if by_place not in ((True, True), (False, False)) or (self.image_column is not None) == all(by_place):
            raise ValueError("group_table: give image_column, or split_column and index_column")
        return self


class NpzLayout(Strict):
    """MedMNIST's layout: ``{train,val,test}_{images,labels}`` in one npz file, with an official split."""

    kind: Literal["npz"]
    group_table: GroupTable | None = None

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images."""
        return True

    @model_validator(mode="after")
    def _groups_are_by_index(self) -> NpzLayout:
        if self.group_table is not None and self.group_table.index_column is None:
            raise ValueError("group_table: images of an npz file have no names: give split_column and index_column")
        return self


class FoldersLayout(Strict):
    """One folder per class, named as the class, at any depth; below a folder per split where there is one."""

    kind: Literal["folders"]
    split_folders: dict[Split, RelativePath] = Field(
        default_factory=dict, description="folder of each official split; empty where there is none"
    )
    group_pattern: GroupPattern | None = Field(
        default=None, description="what of an image's path below its class folder names its group"
    )
    group_table: GroupTable | None = None
    group_tag: Literal["PatientID", "StudyInstanceUID", "SeriesInstanceUID"] | None = Field(
        default=None, description="DICOM: what the images of a group share"
    )

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images."""
        return "test" in self.split_folders

    @model_validator(mode="after")
    def _is_complete(self) -> FoldersLayout:
        if self.split_folders and "train" not in self.split_folders:
            raise ValueError("split_folders needs 'train'")
        if sum(way is not None for way in (self.group_pattern, self.group_table, self.group_tag)) > 1:
            raise ValueError("group_pattern, group_table and group_tag all name groups: give one")
        if self.group_table is not None and self.group_table.image_column is None:
            raise ValueError("group_table: needs image_column")
        return self


class TableLayout(Strict):
    """A table with one row for each image; the images lie anywhere below the dataset folder."""

    kind: Literal["table"]
    path: RelativePath = Field(description="name of the table, looked for below the dataset folder")
    image_folder: RelativePath = Field(default=".", description="where the images are, at any depth")
    image_column: str = Field(description="file name of the image, or its path")
    image_suffix: str = Field(default="", description="what the column leaves out of the file name, e.g. '.png'")
    label_column: str | None = Field(default=None, description="the class, by name or alias")
    label_separator: str | None = Field(
        default=None, description="multi-label: what stands between the labels of one image, e.g. '|'"
    )
    label_columns: tuple[str, ...] | None = Field(
        default=None,
        description="a column of 0 and 1 for each class, in label order; just one 1 where the task is not multi-label",
    )
    label_values: dict[str, Literal[0, 1]] = Field(
        default_factory=dict, description="label_columns: what other values mean, e.g. {'': 0, '-1': 1}; counted"
    )
    no_label: tuple[str, ...] = Field(default=(), description="multi-label: values that mean none, e.g. 'No Finding'")
    skip_labels: tuple[str, ...] = Field(
        default=(), description="rows with one of these labels are left out, and counted: '' for none, 'NA'"
    )
    group_column: str | None = None
    group_tag: Literal["PatientID", "StudyInstanceUID", "SeriesInstanceUID"] | None = Field(
        default=None, description="DICOM: what the images of a group share, where no column tells"
    )
    split_column: str | None = None
    split_values: dict[str, Split] = Field(default_factory=dict, description="what the values of split_column mean")
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test images."""
        return self.split_column is not None and "test" in self.split_values.values()

    @model_validator(mode="after")
    def _is_complete(self) -> TableLayout:
        if (self.label_column is None) == (self.label_columns is None):
            raise ValueError("give label_column or label_columns")
        if self.label_values and self.label_columns is None:
            raise ValueError("label_values belong to label_columns; a class has aliases")
        if self.group_column is not None and self.group_tag is not None:
            raise ValueError("group_column and group_tag both name groups: give one")
        if (self.split_column is None) != (not self.split_values):
            raise ValueError("split_column and split_values belong together")
        return self


class SlidesLayout(Strict):
    """Whole slides, which networks are given as tiles; their labels stand as those of images do."""

    kind: Literal["slides"]
    labels: Annotated[FoldersLayout | TableLayout, Field(discriminator="kind")] = Field(
        description="where the slides are and which class each has: a folder per class, or a table"
    )
    tiling: Tiling = Field(description="how slides are cut into tiles, whose edge in pixels is the card's image_size")

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test slides."""
        return self.labels.official_test


class PatchesLayout(Strict):
    """Volumes larger than memory, which networks are given as patches; their labels stand as those of images do."""

    kind: Literal["patches"]
    labels: Annotated[FoldersLayout | TableLayout, Field(discriminator="kind")] = Field(
        description="where the volumes are and which class each has: a folder per class, or a table"
    )
    patching: Patching = Field(
        default_factory=Patching,
        description="how volumes are cut into patches, whose edge in voxels is the card's image_size",
    )

    @property
    def official_test(self) -> bool:
        """Whether the publisher fixed the test volumes."""
        return self.labels.official_test
