"""Options that say how stored values become what a person sees, for the commands that make a card."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from medmamba_monai.core.errors import UserError

_Pair = tuple[float, float] | None

Background = Annotated[
    list[int] | None,
    typer.Option(metavar="VALUE...", help="Gray, or red, green and blue, under transparent images."),
]
IntensityRange = Annotated[
    _Pair,
    typer.Option(metavar="LOW HIGH", help="Stored values that become black and white; what is beyond is clipped."),
]
Window = Annotated[_Pair, typer.Option(metavar="CENTER WIDTH", help="DICOM window.")]
Frame = Annotated[int | None, typer.Option(help="Which frame to take of files with several, from 0.")]
FillNonFinite = Annotated[float | None, typer.Option(help="What stands for NaN and infinity.")]
FieldOfView = Annotated[
    list[float] | None,
    typer.Option(
        metavar="MM...", help="Millimetres of a volume that are shown around its center: one number, or x, y and z."
    ),
]

MicronsPerPixel = Annotated[
    float | None, typer.Option(metavar="MICRONS", help="The images are slides: edge of a tile's pixel.")
]
Downsample = Annotated[
    float | None, typer.Option(metavar="NUMBER", help="The images are slides: their pixels to one of a tile.")
]
MillimetresPerVoxel = Annotated[
    float | None,
    typer.Option(metavar="MM", help="The images are volumes larger than memory: edge of the voxels of patches."),
]


def collect_tiling(microns_per_pixel: float | None, downsample: float | None) -> dict[str, Any]:
    """Return what was given as fields of a card's ``tiling``; nothing where the images are no slides."""
    given = {"microns_per_pixel": microns_per_pixel, "downsample": downsample}
    return {key: value for key, value in given.items() if value is not None}


def collect_reading(
    background: list[int] | None,
    intensity_range: _Pair,
    window: _Pair,
    frame: int | None,
    fill_non_finite: float | None,
    field_of_view: list[float] | None,
) -> dict[str, Any]:
    """Return what was given as fields of a card's ``reading``.

    Raises:
        UserError: one value or three are needed, and others were given.
    """
    given = {
        "background": _take_one_or_three("--background", background, "gray, or red, green and blue"),
        "intensity_range": list(intensity_range) if intensity_range else None,
        "clip": True if intensity_range else None,
        "window": list(window) if window else None,
        "frame": frame,
        "fill_non_finite": fill_non_finite,
        "field_of_view": _take_one_or_three("--field-of-view", field_of_view, "one number, or x, y and z"),
    }
    return {key: value for key, value in given.items() if value is not None}


def _take_one_or_three(option: str, values: list[Any] | None, expected: str) -> Any:
    if not values or len(values) == 3:
        return values or None
    if len(values) == 1:
        return values[0]
    raise UserError(f"{option} {' '.join(map(str, values))}: give {expected}")
