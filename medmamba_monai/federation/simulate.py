"""A federation on this machine, in processes of NVFlare's simulator, and its job for sites on machines of their own."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medmamba_monai.core.environment import set_environment
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import check_new_folder, write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import RESULTS
from medmamba_monai.federation.site import SITES_VARIABLE, read_sites
from medmamba_monai.tracking.mlflow_store import check_tracking_uri

EXTRA = "medmamba-monai[federation]"
COMPONENTS = "medmamba_monai.federation"
"""What NVFlare's list of allowed classes must have at server and sites."""
_WORK = "nvflare"


def simulate(sites: str | Path, output: str | Path, tracking_uri: str = "", **options: Any) -> dict[str, Any]:
    """Train a federation of sites on this machine, each in a process of its own.

    Args:
        sites: folder of a file ``<site>.json`` of each site, see `medmamba_monai.federation.site.Site`.
        output: folder of the results, and of the logs in ``nvflare``; must be empty.
        tracking_uri: MLflow store; empty for none.
        options: of the training that all sites share, and of the federation.

    Returns:
        What ``federation.json`` in ``output`` holds: what each site said, metrics of each round and each fold's test.

    Raises:
        UserError: an option does not fit, sites do not agree, or too few of them got through a round.
    """
    plan = Plan.of(options, secrets.token_hex(8))
    names = [site.name for site in read_sites(sites)]
    target = check_new_folder(output, "results").absolute()
    recipe = _make_recipe(plan, names)
    store = check_tracking_uri(tracking_uri) if tracking_uri else ""
    with set_environment({SITES_VARIABLE: str(Path(sites).absolute()), "MLFLOW_TRACKING_URI": store}):
        _run(recipe, names, target / _WORK)
    return _collect(target, recipe.name)


def write_job(folder: str | Path, sites: Sequence[str], **options: Any) -> Path:
    """Write the job of a federation for sites on machines of their own, to be submitted by NVFlare.

    Args:
        folder: to make.
        sites: names of the sites, as NVFlare was provisioned with them.
        options: of the training that all sites share, and of the federation.

    Returns:
        Folder of the job.

    Raises:
        UserError: an option does not fit, or the folder is not empty.
    """
    plan = Plan.of(options, secrets.token_hex(8))
    recipe = _make_recipe(plan, list(sites))
    recipe.export(str(check_new_folder(folder, "job")))
    return Path(folder) / recipe.name


def _make_recipe(plan: Plan, names: Sequence[str]) -> Any:
    try:
        from medmamba_monai.federation.job import make_recipe
    except ImportError as error:
        raise UserError(f"a federation needs NVFlare, which is missing: pip install '{EXTRA}'") from error
    return make_recipe(plan, names)


def _run(recipe: Any, names: Sequence[str], workspace: Path) -> None:
    """Run NVFlare's simulator, which ends with an error where a site or the server did."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST
    from nvflare.recipe import SimEnv

    allowed = [*DEFAULT_CLASS_ALLOW_LIST, COMPONENTS]
    write_json(workspace / recipe.name / "local" / "resources.json", {"format_version": 2, "class_allow_list": allowed})
    with suppress(RuntimeError):  # the server's results say why
        recipe.run(SimEnv(clients=list(names), workspace_root=str(workspace), log_config="concise"))


def _collect(target: Path, name: str) -> dict[str, Any]:
    """Move the server's results to where a user looks for them, and read them.

    Raises:
        UserError: the federation failed.
    """
    workspace = target / _WORK / name
    left = workspace / "server" / "simulate_job" / RESULTS
    for path in left.iterdir() if left.is_dir() else ():
        shutil.move(path, target / path.name)
    results = RunFolder(target).federation
    content: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    if not content or "failure" in content:
        reason = content.get("failure", "the server gave no result")
        raise UserError(f"the federation failed: {reason}. Logs of server and sites: {workspace}")
    return content
