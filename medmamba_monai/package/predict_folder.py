"""A folder of images through a package, into files that name none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data.find.locations import list_images
from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.evaluation.answers.table import format_predictions
from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.package.open import Package


def predict_folder(
    package: Package,
    images: str | os.PathLike[str],
    output: str | os.PathLike[str],
    level: float = 0.9,
    batch_size: int | None = None,
) -> Prediction:
    """Judge the images in and below a folder and write ``predictions.csv`` and ``files.csv``.

    What a line of ``predictions.csv`` holds says `format_predictions`. ``files.csv`` says which id is which file and is
    meant to stay on this machine.

    Args:
        package: what judges.
        images: the folder.
        output: folder of the files.
        level: of the sets.
        batch_size: by default that of the evaluation.

    Raises:
        UserError: there is no image; or images cannot be read, after those that can were judged and written.
    """
    card = package.card
    items = list_images(Path(images), card.spatial_dims, card.every_frame)
    _check_level(level)
    read: list[dict[str, str]] = []
    problems: list[str] = []

    def read_all() -> Iterator[Tensor]:
        for item in items:
            try:
                pixels = package.read(item["image"])
            except UserError as error:
                problems.append(str(error))
                continue
            read.append(item)
            yield pixels

    stream = read_all()
    first = next(stream, None)
    if first is None:
        raise UserError(f"none of the {len(items)} images in {images} can be read; the first: {problems[0]}")
    found = package.predict_pixels(_prepend(first, stream), batch_size)
    _write(RunFolder(output), found, read, level)
    if problems:
        raise UserError(
            f"{len(problems)} of {len(items)} images cannot be read; the others are in {output}. {'; '.join(problems)}"
        )
    return found


def _prepend(first: Tensor, rest: Iterator[Tensor]) -> Iterator[Tensor]:
    yield first
    yield from rest


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give the share of images whose set is to hold the truth, such as 0.9")


def _write(folder: RunFolder, found: Prediction, items: list[dict[str, str]], level: float) -> None:
    files = format_csv(["id", "file"], [[item["id"], item["file"]] for item in items])
    write_bytes(folder.image_files, files.encode("utf-8", errors="backslashreplace"))
    write_text(folder.predictions, format_predictions(found, [item["id"] for item in items], level))
