"""``medmamba-monai review``: figures, intervals and report once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bootstrap_options import Resamples, Seed
from medmamba_monai.core.defaults import RESAMPLES

_FOLDER = "Folder of the cross-validation, such as output/first."
_IMAGES = (
    "Show images of mistakes; by default as the cross-validation was told, else where the store is a local file. "
    "What was sent already stays there."
)


def review(
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help=_FOLDER)],
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    images: Annotated[bool | None, typer.Option("--images/--no-images", help=_IMAGES)] = None,
) -> None:
    """Review a cross-validation once more.

    All is computed again, from its predictions alone.
    """
    from medmamba_monai.cross_validation import review_again

    print(f"report {review_again(directory, resamples=resamples, seed=seed, with_images=images)}")
