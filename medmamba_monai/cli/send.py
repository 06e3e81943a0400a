"""``medmamba-monai send``: deliver to MLflow what a run could not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def send(
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a run or of a cross-validation.")],
) -> None:
    """Send to MLflow what a run could not send while it trained.

    The exit code is 1 while entries are still pending.
    """
    from medmamba_monai.tracking import send_pending

    pending = send_pending(directory)
    print(f"{pending} entries are still pending" if pending else "everything is in MLflow")
    raise typer.Exit(1 if pending else 0)
