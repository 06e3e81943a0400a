"""A federation on this machine, in processes of NVFlare's simulator, and its job for sites on machines of their own."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medmamba_monai.core.environment import set_environment
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import check_new_folder, remove_leftovers, write_json
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals
from medmamba_monai.federation.kit import COMPONENTS
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import check_same_federation, read_results
from medmamba_monai.federation.site import SITES_VARIABLE, read_sites
from medmamba_monai.tracking.mlflow_store import check_tracking_uri

EXTRA = "medmamba-monai[federation]"
_WORK = "nvflare"


def simulate(sites: str | Path, output: str | Path, tracking_uri: str = "", **options: Any) -> dict[str, Any]:
    """Train a federation of sites on this machine, each in a process of its own.

    One that was stopped, or had too few sites left, goes on after its last round; one that has finished is read.

    Args:
        sites: folder of a file ``<site>.json`` of each site, see `medmamba_monai.federation.site.Site`.
        output: folder of the results, and of the logs in ``nvflare``; must be empty, or hold this federation.
        tracking_uri: MLflow store; empty for none.
        options: of the training that all sites share, and of the federation.

    Returns:
        What ``federation.json`` in ``output`` holds: what each site said, metrics of each round and each fold's test.

    Raises:
        UserError: an option does not fit, the folder holds something else, sites do not agree, or too few of them got
            through a round.
    """
    target = Path(output).absolute()
    found = read_results(target)
    if not found:
        check_new_folder(output, "results")
    plan = Plan.of(options, found.get("identity") or secrets.token_hex(8))
    check_same_federation(target, found, plan)
    if found.get("finished"):
        return found
    names = [site.name for site in read_sites(sites)]
    recipe = _make_recipe(plan, names, str(target))
    store = check_tracking_uri(tracking_uri) if tracking_uri else ""
    with lock_folder(target, "federation"):  # the server takes it once this is known to be free
        remove_leftovers(target)
    if plan.options.encrypts:
        from medmamba_monai.federation.encryption import write_keys

        write_keys(target / _WORK / recipe.name / "startup")
    with set_environment({SITES_VARIABLE: str(Path(sites).absolute()), "MLFLOW_TRACKING_URI": store}):
        _run(recipe, names, target / _WORK)
    return _collect(target, target / _WORK / recipe.name)


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


def _make_recipe(plan: Plan, names: Sequence[str], results: str = "") -> Any:
    try:
        from medmamba_monai.federation.job import make_recipe
    except ImportError as error:
        raise UserError(f"a federation needs NVFlare, which is missing: pip install '{EXTRA}'") from error
    return make_recipe(plan, names, results)


def _run(recipe: Any, names: Sequence[str], workspace: Path) -> None:
    """Run NVFlare's simulator, which ends with an error where a site or the server did."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST
    from nvflare.recipe import SimEnv

    allowed = [*DEFAULT_CLASS_ALLOW_LIST, COMPONENTS]
    write_json(workspace / recipe.name / "local" / "resources.json", {"format_version": 2, "class_allow_list": allowed})
    interrupted = catch_signals(STOP_SIGNALS[1:], signal.default_int_handler)
    with interrupted, suppress(RuntimeError):  # the server's results say why
        recipe.run(SimEnv(clients=list(names), workspace_root=str(workspace), log_config="concise"))


def _collect(target: Path, logs: Path) -> dict[str, Any]:
    """Read the server's results.

    Raises:
        UserError: the federation failed, or was stopped.
    """
    content = read_results(target)
    if content.get("finished"):
        return content
    reason = content.get("failure", "its server was stopped")
    rounds = sum(len(fold["rounds"]) for fold in content.get("folds", {}).values())
    raise UserError(
        f"the federation did not finish: {reason}. Logs of server and sites: {logs}. The same command goes on after "
        f"what is done, {rounds} rounds so far"
    )
