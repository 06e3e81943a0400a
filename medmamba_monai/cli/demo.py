"""``medmamba-monai demo``, which is what ``make demo`` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    network: Annotated[
        str, typer.Option(metavar="NAME", help="Another network on the same folds, such as resnet18.")
    ] = "medmamba",
) -> None:
    """Cross-validate a small MedMamba on chest X-rays.

    Data, five folds, their review and MLflow runs are made in the current folder. Killed and started again, it goes on
    where it was.
    """
    from medmamba_monai.bundle.demo import run_demo

    run_demo(Path.cwd(), network)
