"""``medmamba-monai package``: a finished cross-validation as one folder to predict with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_RUN = "Folder of the finished cross-validation, such as output/first."
_FOLDS = "all: the mean of all folds; best: the fold with the highest AUC on its validation part."


def package(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=_RUN)],
    output: Annotated[Path, typer.Option(help="Folder for the package; must be new or empty.")],
    folds: Annotated[str, typer.Option(metavar="all|best", help=_FOLDS)] = "all",
) -> None:
    """Pack the networks of a cross-validation into one folder."""
    from medmamba_monai.core.choices import check_choice
    from medmamba_monai.package import write_package

    made = write_package(run, output, "best" if check_choice(folds, ("all", "best"), "--folds") == "best" else "all")
    print(f"package {output}: {made.manifest.selection}")
