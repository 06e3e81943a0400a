"""``medmamba-monai compare``: cross-validations on the same folds beside one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medmamba_monai.cli.bootstrap_options import Resamples, Seed
from medmamba_monai.core.defaults import RESAMPLES

_RUNS = "Names or ids of parent runs, one for each model; several seeds of one model with commas between."


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help=_RUNS)],
    tracking_uri: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="The store that holds them.")
    ] = "sqlite:///mlruns.db",
    titles: Annotated[
        list[str] | None, typer.Option(metavar="TITLE...", help="Titles of the models, for readers.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the files; by default output/comparisons/NAMES.")
    ] = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Compare cross-validations on the same folds, with tests."""
    from medmamba_monai.cross_validation import compare_runs

    print(compare_runs(runs, tracking_uri, output_dir, titles=titles or [], resamples=resamples, seed=seed))
