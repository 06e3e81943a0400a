"""``medmamba-monai auto``: from images to the best honest classifier that a time allows."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medmamba_monai.bundle.commands import SEARCH
from medmamba_monai.cli.bundle_options import take_options
from medmamba_monai.cli.option_tables import expand_tables
from medmamba_monai.cli.reading_options import (
    Background,
    FieldOfView,
    FillNonFinite,
    Frame,
    IntensityRange,
    Window,
    collect_reading,
)
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels

if TYPE_CHECKING:
    from medmamba_monai.auto.look import Dataset

_UNITS = {"s": 1, "m": 60, "h": 3600}
DEFAULT_BUDGET = "2h"


@take_options(SEARCH)
@expand_tables
def auto(
    options: dict[str, Any],
    images: Annotated[Path | None, typer.Option(help="Folder of images, with a folder for each class.")] = None,
    bundle: Annotated[str | None, typer.Option(help="In place of --images: a bundle, or a dataset's name.")] = None,
    dataset_dir: Annotated[str | None, typer.Option(help="Folder of the bundle's images.")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Time for everything: 90s, 10m; by default {DEFAULT_BUDGET}.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the search; by default auto_NAME here.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Carry out this plan.json of another search.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Stop when the plan is written.")] = False,
    pretrained: Annotated[
        Path | None,
        typer.Option(help="Weights for candidates to begin with: a file, a run or a package."),
    ] = None,
    labels: Labels = Labels(),  # noqa: B008 - a table: each field becomes an option
    proposal: Options = Options(),  # noqa: B008
    background: Background = None,
    intensity_range: IntensityRange = None,
    window: Window = None,
    frame: Frame = None,
    fill_non_finite: FillNonFinite = None,
    field_of_view: FieldOfView = None,
) -> None:
    """Find the best classifier for your images within a time.

    Looks at the images, plans with reasons, lets networks race, chooses by validation, tests once. Started again with
    the same --output, it goes on where it was; a plan.json that is there is used as it stands, edited or not. With
    --launcher slurm or ray, networks are measured and trained as jobs of a cluster, --jobs of them at a time.
    """
    started, launching = time.time(), SEARCH.check(options)
    from medmamba_monai.auto.look import take_bundle, take_images, take_search
    from medmamba_monai.auto.search import check_output, check_source, open_plan, plan_search, take_plan
    from medmamba_monai.auto.text import TEXT_NAME

    _check_source(images, bundle, output, plan)
    name = make_name(images) if images is not None else Path(bundle or "").absolute().name
    folder = output or Path(f"auto_{name}")
    reading = collect_reading(background, intensity_range, window, frame, fill_non_finite, field_of_view)

    def take() -> Dataset:
        if images is not None:
            return take_images(folder, name, images, labels, replace(proposal, reading=reading))
        if bundle is not None:
            return take_bundle(folder, bundle, dataset_dir)
        if plan is not None:
            return take_search(folder, plan, dataset_dir)
        raise UserError(f"--output {folder}: holds no plan.json; give --images or --bundle, too")

    seconds = None if budget is None else read_budget(budget)
    if (found := open_plan(folder, seconds, dataset_dir, pretrained)) is not None:
        check_source(found, folder, images, bundle)
        if plan is not None:
            raise UserError(f"--plan {plan}: {folder} has a plan of its own; give another --output")
        print(f"{folder / 'plan.json'} is there and is used as it stands", flush=True)
    elif plan is not None:
        check_output(folder)
        take_plan(folder, plan, take(), seconds, pretrained)
    else:
        check_output(folder)
        time_for_all = seconds or read_budget(DEFAULT_BUDGET)
        plan_search(folder, take, time_for_all, proposal.image_size, started, pretrained, launching)
    print(f"\n{(folder / TEXT_NAME).read_text(encoding='utf-8')}\nwrote {folder / TEXT_NAME}", flush=True)
    if not plan_only:
        from medmamba_monai.auto.run import run_plan

        run_plan(folder, launching)


def _check_source(images: Path | None, bundle: str | None, output: Path | None, plan: Path | None) -> None:
    if images is not None and bundle is not None:
        raise UserError(f"--images {images}, --bundle {bundle}: give one of them")
    if images is None and bundle is None and output is None and plan is not None:
        raise UserError(f"--plan {plan}: give --output, too: a folder for the new search")
    if images is None and bundle is None and output is None:
        raise UserError("auto: give --images FOLDER or --bundle BUNDLE, or the --output of an earlier start")


def read_budget(text: str) -> float:
    """Return the seconds of a time such as ``90s``, ``10m`` or ``1.5h``.

    Raises:
        UserError: it is no such time, or none at all.

    Example:
        >>> read_budget("1.5h")
        5400.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UserError(f"--budget {text}: give a number with s, m or h, such as 90s, 10m or 2h")
    return seconds


def make_name(images: Path) -> str:
    """Return the short name of a dataset that is made of a folder's name.

    Example:
        >>> make_name(Path("data/Chest CT (2024)"))
        'chest_ct_2024'
    """
    return re.sub(r"[^a-z0-9]+", "_", images.absolute().name.lower()).strip("_") or "images"
