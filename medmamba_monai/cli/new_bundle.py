"""``medmamba-monai new-bundle``: a card and a bundle for a user's own images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.option_tables import expand_tables
from medmamba_monai.cli.reading_options import (
    Background,
    Downsample,
    FieldOfView,
    FillNonFinite,
    Frame,
    IntensityRange,
    MicronsPerPixel,
    MillimetresPerVoxel,
    Window,
    collect_reading,
    collect_tiling,
)
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels


@expand_tables
def new_bundle(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short name: lower-case letters, digits and _.")],
    images: Annotated[Path, typer.Option(help="Folder of images, with a folder for each class.")],
    labels: Labels,
    options: Options,
    background: Background = None,
    intensity_range: IntensityRange = None,
    window: Window = None,
    frame: Frame = None,
    fill_non_finite: FillNonFinite = None,
    field_of_view: FieldOfView = None,
    microns_per_pixel: MicronsPerPixel = None,
    downsample: Downsample = None,
    millimetres_per_voxel: MillimetresPerVoxel = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card of this name.")] = False,
) -> None:
    """Make a card and a bundle for images of your own.

    They are written into the current folder, with what was found and what to run next.
    """
    from medmamba_monai.bundle.new_bundle import new_bundle as make_bundle

    reading = collect_reading(background, intensity_range, window, frame, fill_non_finite, field_of_view)
    tiling = collect_tiling(microns_per_pixel, downsample)
    patching = {} if millimetres_per_voxel is None else {"millimetres_per_voxel": millimetres_per_voxel}
    said = replace(options, reading=reading, tiling=tiling, patching=patching)
    make_bundle(name, images, labels, said, Path.cwd(), overwrite)
