"""Which run a package is of, and the one store that may have its models."""

from __future__ import annotations

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.package import Package
from medmamba_monai.package.manifest import compute_digest
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, parse_sqlite_path
from medmamba_monai.tracking.private_values import hide_credentials
from medmamba_monai.tracking.sent_state import read_saved_state


def check_origin(package: Package, run: RunFolder) -> None:
    """Check that a package holds the weights of a run.

    Raises:
        UserError: a fold of the package is not in the run, or has other weights there.
    """
    for member in package.manifest.members:
        path = run.fold(member.fold).safetensors
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; name the cross-validation that the package was made of")
        if compute_digest(path) != member.weights.sha256:
            raise UserError(
                f"{path}: are not the weights in the package; name the run that it was made of, or pack the run again"
            )


def choose_store(run: RunFolder, tracking_uri: str) -> str:
    """Return the store that holds a run and may have its weights: a local file, or what the user names.

    Args:
        run: folder of the cross-validation.
        tracking_uri: what the user names; empty for nothing.

    Raises:
        UserError: the run is in no store or in another one, or its store is a server that the user does not name.
    """
    known = str(read_saved_state(run.mlflow_state).get("tracking_uri", ""))
    send = f"medmamba-monai send {run.path} --tracking-uri {hide_credentials(tracking_uri) or 'URI'}"
    if not known or Journal(run.path).stays_local:
        raise UserError(f"{run.path}: the run is in no MLflow store, so no model can be linked to it; send it: {send}")
    if tracking_uri and _normalize(tracking_uri) != _normalize(known):
        raise UserError(
            f"--tracking-uri {hide_credentials(tracking_uri)}: the run is in {hide_credentials(known)}, and models "
            f"belong beside it; leave the option out, or send the run: {send}"
        )
    if not tracking_uri and parse_sqlite_path(known) is None:
        raise UserError(
            f"the run is on a server, {hide_credentials(known)}, which would get all weights and figures of the "
            "package: say so with --tracking-uri and this address"
        )
    return known


def _normalize(uri: str) -> str:
    return check_tracking_uri(uri).rstrip("/")
