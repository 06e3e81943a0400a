"""``medmamba-monai send``: deliver to MLflow what a run could not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_NEW_RUN = "Make a new run of each one that was deleted, or whose store is gone; those that are still there go on."
_URI = "Another store, or the first one of a run that began without; by default the store of each run."


def send(
    directory: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a run or of a cross-validation.")],
    new_run: Annotated[bool, typer.Option("--new-run", help=_NEW_RUN)] = False,
    tracking_uri: Annotated[str, typer.Option(help=_URI)] = "",
) -> None:
    """Send to MLflow what a run could not send while it trained.

    The exit code is 1 while entries are still pending, or runs are not in the store.
    """
    from medmamba_monai.tracking import deliver

    delivery = deliver(directory, new_run, tracking_uri)
    print(delivery)
    raise typer.Exit(0 if delivery.complete else 1)
