"""``medmamba-monai predict``: a folder of images through a package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="Folder that the command package wrote.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of images.")],
    output: Annotated[Path, typer.Option(help="Folder for predictions.csv and files.csv.")],
    level: Annotated[float, typer.Option(help="Share of sets that are to hold the true class.")] = 0.9,
    batch_size: Annotated[
        int | None, typer.Option(help="Images in a batch; by default as in the evaluation.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:0.")] = "auto",
) -> None:
    """Classify a folder of images with a package."""
    from medmamba_monai.package import Package, predict_folder

    found = predict_folder(Package.open(package, device), images, output, level, batch_size)
    print(f"{len(found.probabilities)} images classified: {output / 'predictions.csv'}")
    print(f"It names no files. Which image is which says {output / 'files.csv'}: keep that one to yourself.")
