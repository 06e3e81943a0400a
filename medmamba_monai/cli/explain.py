"""``medmamba-monai explain``: maps of what speaks for a class, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bootstrap_options import Resamples, Seed
from medmamba_monai.core.defaults import EXPLAINED_IMAGES, RESAMPLES

_SOURCE = "Folder of a finished cross-validation, or that the command package wrote."
_METHOD = "A method, such as scan_relevance, or all; repeat for several. By default the first that can explain it."
_IMAGES = "Folder of images; by default the test images of RUN."
_MASKS = "Folder of masks of the findings, each named like its image."
_OUTPUT = "Folder for maps and page; by default explanations in that of RUN."
_FOLD = "RUN: the fold whose network alone to explain; by default all that judge an image, by their mean map."
_DATASET = "Folder of the run's images; by default where the run found them."


def explain(
    source: Annotated[Path, typer.Argument(metavar="RUN|PACKAGE", help=_SOURCE)],
    method: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_METHOD, show_default=False)] = None,
    judge: Annotated[bool, typer.Option("--judge", help="Judge the methods, beside maps that know nothing.")] = False,
    images: Annotated[Path | None, typer.Option(help=_IMAGES, show_default=False)] = None,
    masks: Annotated[Path | None, typer.Option(help=_MASKS, show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=_OUTPUT, show_default=False)] = None,
    most: Annotated[int, typer.Option(help="Images at most, drawn with a fixed seed.")] = EXPLAINED_IMAGES,
    fold: Annotated[int | None, typer.Option(help=_FOLD, show_default=False)] = None,
    dataset_dir: Annotated[Path | None, typer.Option(help=_DATASET, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="Where the networks are: auto, cpu, cuda or cuda:0.")] = "auto",
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Show what speaks for the class of each image."""
    from medmamba_monai.explanations import explain as explain_images

    page = explain_images(
        source, method or (), judge, images, masks, output, most, fold, dataset_dir, device, resamples, seed
    )
    print(f"report {page}")
