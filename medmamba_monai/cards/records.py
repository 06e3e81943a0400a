"""Clinical records of the images, as a card declares them: columns of a table, each a number or a category."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medmamba_monai.cards.layouts import RelativePath, Strict
from medmamba_monai.core.spelling import comparable

RecordKind = Literal["number", "category"]
RecordValue = float | str | None
"""What stands in a column for one image: a number, a category, or None where nothing is known."""


class RecordColumn(Strict):
    """One column of the records; what it does not say stays missing and is never filled in silently."""

    name: str = Field(min_length=1, description="the column's header in the table")
    kind: RecordKind
    unit: str = Field(default="", description="of a number, such as years")
    categories: tuple[str, ...] = Field(
        default=(), description="of a category: all values that it may have; empty to take those that are found"
    )
    missing: tuple[str, ...] = Field(
        default=(), description="values that mean missing, beside an empty cell, NA, nan and null: 'UNK'"
    )

    @model_validator(mode="after")
    def _fits_the_kind(self) -> RecordColumn:
        if self.kind == "number" and self.categories:
            raise ValueError(f"{self.name}: a number has no categories; make its kind 'category', or remove them")
        if self.kind == "category" and self.unit:
            raise ValueError(f"{self.name}: a category has no unit; make its kind 'number', or remove the unit")
        alike = [*map(comparable, (*self.categories, *self.missing))]
        if len(set(alike)) < len(alike):
            raise ValueError(f"{self.name}: categories and missing values must differ in more than case and blanks")
        return self


class Records(Strict):
    """Columns that are known of an image before anybody judges it: never what follows from the diagnosis."""

    columns: tuple[RecordColumn, ...] = Field(min_length=1)
    path: RelativePath | None = Field(
        default=None,
        description="file name of the table, looked for below the dataset folder; by default the labels' table",
    )
    image_column: str | None = Field(default=None, description="of path: file name of the image, or its path")
    split_column: str | None = Field(default=None, description="of path, npz: train, val or test")
    index_column: str | None = Field(default=None, description="of path, npz: number of the image within its split")
    separator: str = Field(default=",", min_length=1, max_length=1, description="of path")
    encoding: str = Field(default="utf-8-sig", description="of path")

    @model_validator(mode="after")
    def _names_images_in_one_way(self) -> Records:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"columns: each is named once, found {names}")
        by_place = (self.split_column is not None, self.index_column is not None)
        ways = (self.image_column is not None) + all(by_place)
        if any(by_place) != all(by_place) or ways != (self.path is not None):
            raise ValueError(
                "a path goes with image_column, or with split_column and index_column; without a path the records are "
                "in the table of the labels"
            )
        return self
