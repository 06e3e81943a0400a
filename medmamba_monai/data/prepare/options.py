"""The options of preparing a dataset, each with its type and its help text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from medmamba_monai.core.options import Flag, Fraction, Options, Switch, Text, Whole, WholeFrom0, WholeFrom2


class PrepareOptions(Options):
    """What `prepare_dataset` takes beside the card; defaults stand at the top of a bundle's ``configs/data.json``."""

    dataset_dir: Annotated[Text, Flag.PRIVATE] = Field(description="folder of the dataset")
    data_list: Annotated[Text, Flag.PRIVATE] = Field(description="the folds.json to write")
    source_file: Text | None = Field(description="which of the card's files to use; None: the largest images there are")
    num_folds: WholeFrom2 = Field(description="number of folds")
    seed: Whole = Field(description="seed of the folds")
    hold_out: Fraction | None = Field(description="share of the images kept out as a test set, where none is official")
    hold_out_seed: WholeFrom0 = Field(description="seed of the drawing of that test set")
    download: Switch = Field(description="download a file that is missing")
    allow_count_mismatch: Switch = Field(description="go on with other numbers of images than the card's")
    allow_checksum_mismatch: Switch = Field(description="go on with another file than the published one, and record it")
    overwrite: Switch = Field(description="replace folds that differ")
    near_duplicates: Switch = Field(description="look for nearly equal images, too")
    allow_links: Switch = Field(description="links may lead out of the dataset's folder")
