"""``medmamba-monai attention``: what the networks of a run looked at in slides and volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_RUN = "Folder of a finished cross-validation of slides or patches, such as output/first."
_FEATURES = "Folder of the features that it learnt from; by default the bundle's."
_DATASET = "Folder of the run's images; by default where the run found them."


def attention(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=_RUN)],
    features: Annotated[Path | None, typer.Option(help=_FEATURES)] = None,
    dataset_dir: Annotated[Path | None, typer.Option(help=_DATASET)] = None,
) -> None:
    """Draw what a run looked at in slides, or in volumes."""
    from medmamba_monai.slides import show_attention

    print(f"figures and tables {show_attention(run, features, dataset_dir)}")
