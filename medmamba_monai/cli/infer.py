"""``medmamba-monai infer``: a folder of images through the weights of a bundle."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from medmamba_monai.bundle.commands import INFER
from medmamba_monai.cli.bundle_options import BundleArgument, take_options

_RUN = "Cross-validation whose weights to use; by default those that train left."


@take_options(INFER)
def infer(
    bundle: BundleArgument,
    options: dict[str, Any],
    fold: Annotated[int, typer.Option(help="Fold whose weights to use.")] = 0,
    all_folds: Annotated[bool, typer.Option("--all-folds", help="Use the mean of all folds instead.")] = False,
    run_name: Annotated[str | None, typer.Option(metavar="NAME", help=_RUN)] = None,
) -> None:
    """Classify a folder of images into a CSV file."""
    from medmamba_monai import Bundle

    Bundle(bundle).infer(None if all_folds else fold, run_name, **options)
