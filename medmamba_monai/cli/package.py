"""``medmamba-monai package``: a finished cross-validation as one folder to predict with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from medmamba_monai.package.select_folds import Folds

_RUN = "Folder of the finished cross-validation, such as output/first."
_FOLDS = (
    "all: the mean of all folds; finished: of those that have finished; best: the fold with the highest AUC on its "
    "validation part; or a fold's number."
)

_IMAGES = "Folder of the run's images, read to tell unlike ones later; by default where the run found them."
_DEPLOY = "Also write an application folder of MONAI Deploy here; must be new or empty."


def package(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=_RUN)],
    output: Annotated[Path, typer.Option(help="Folder for the package; must be new or empty.")],
    folds: Annotated[str, typer.Option(metavar="all|finished|best|NUMBER", help=_FOLDS)] = "all",
    dataset_dir: Annotated[Path | None, typer.Option(help=_IMAGES, show_default=False)] = None,
    device: Annotated[str, typer.Option(help="Where to look at the images: auto, cpu, cuda or cuda:0.")] = "auto",
    monai_deploy: Annotated[Path | None, typer.Option(metavar="FOLDER", help=_DEPLOY, show_default=False)] = None,
) -> None:
    """Pack the networks of a cross-validation into one folder."""
    from medmamba_monai.core.files import check_new_folder
    from medmamba_monai.package import write_package

    if monai_deploy is not None:
        check_new_folder(monai_deploy, "application")
    made = write_package(run, output, _parse_folds(folds), dataset_dir, device)
    print(f"package {output}: {made.manifest.selection}")
    if made.manifest.unlike is None:
        print(f"It cannot tell unlike images: {made.manifest.unlike_missing}. To know them, give --dataset-dir.")
    if monai_deploy is not None:
        from medmamba_monai.serving.monai_deploy import write_monai_deploy

        print(f"application {write_monai_deploy(made, monai_deploy)}: its README.md says how to run it")


def _parse_folds(text: str) -> Folds:
    from medmamba_monai.core.choices import check_choice

    return int(text) if text.isdecimal() else cast("Folds", check_choice(text, ("all", "finished", "best"), "--folds"))
