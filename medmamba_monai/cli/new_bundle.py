"""``medmamba-monai new-bundle``: a card and a bundle for a user's own images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.option_tables import expand_tables
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels

_Pair = tuple[float, float] | None
_RANGE = "Stored values that become black and white; what is beyond is clipped."
_BACKGROUND = "Gray, or red, green and blue, under transparent images."


@expand_tables
def new_bundle(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short name: lower-case letters, digits and _.")],
    images: Annotated[Path, typer.Option(help="Folder of images, with a folder for each class.")],
    labels: Labels,
    options: Options,
    background: Annotated[list[int] | None, typer.Option(metavar="VALUE...", help=_BACKGROUND)] = None,
    intensity_range: Annotated[_Pair, typer.Option(metavar="LOW HIGH", help=_RANGE)] = None,
    window: Annotated[_Pair, typer.Option(metavar="CENTER WIDTH", help="DICOM window.")] = None,
    frame: Annotated[int | None, typer.Option(help="Which frame to take of files with several, from 0.")] = None,
    fill_non_finite: Annotated[float | None, typer.Option(help="What stands for NaN and infinity.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card of this name.")] = False,
) -> None:
    """Make a card and a bundle for images of your own.

    They are written into the current folder, with what was found and what to run next.
    """
    from medmamba_monai.bundle.new_bundle import new_bundle as make_bundle

    given = {
        "background": background[0] if background and len(background) == 1 else background,
        "intensity_range": list(intensity_range) if intensity_range else None,
        "clip": True if intensity_range else None,
        "window": list(window) if window else None,
        "frame": frame,
        "fill_non_finite": fill_non_finite,
    }
    reading = {key: value for key, value in given.items() if value is not None}
    make_bundle(name, images, labels, replace(options, reading=reading), Path.cwd(), overwrite)
