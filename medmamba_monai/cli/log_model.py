"""``medmamba-monai log-model``: a package as models of MLflow, to be served and registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_STORE = "Store that holds the run; to be given where it is a server, which then gets the weights."
_CODE = "Copy the code of medmamba-monai into the models, for servers that cannot install it."


def log_model(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="Folder that the command package wrote.")],
    run: Annotated[Path, typer.Option(help="Folder of the cross-validation that the package was made of.")],
    tracking_uri: Annotated[str, typer.Option(metavar="URI", help=_STORE, show_default=False)] = "",
    register: Annotated[str, typer.Option(metavar="NAME", help="Register the model by this name.")] = "",
    with_code: Annotated[bool, typer.Option("--with-code", help=_CODE)] = False,
) -> None:
    """Log a package and its folds as models of MLflow."""
    from medmamba_monai.serving import log_package
    from medmamba_monai.tracking.private_values import hide_credentials

    logged = log_package(package, run, tracking_uri, register, with_code)
    for name, model_id in logged.models.items():
        print(f"{name}: models:/{model_id}")
    if logged.version:
        print(f"registered: models:/{logged.version}")
    print("serve it on this machine alone:")
    print(
        f"MLFLOW_TRACKING_URI={hide_credentials(logged.tracking_uri)} "
        f"mlflow models serve --env-manager local --port 5001 -m {logged.uri}"
    )
