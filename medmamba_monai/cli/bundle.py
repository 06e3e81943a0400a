"""``medmamba-monai bundle``: a bundle from a dataset's card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bundle(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="The dataset's card.json.")],
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the bundle.")],
) -> None:
    """Generate a bundle from a dataset's card."""
    from medmamba_monai.bundle import generate_bundle

    for path in generate_bundle(card, directory):
        print(path)
