"""A federation as a job of NVFlare, which runs in its simulator and on provisioned sites alike."""

from __future__ import annotations

from collections.abc import Sequence

from nvflare.apis.filter import Filter
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy
from nvflare.job_config.api import FedJob
from nvflare.recipe.spec import Recipe

from medmamba_monai.core.names import make_file_name
from medmamba_monai.federation.encryption import make_filters
from medmamba_monai.federation.nvflare_server import FederationController
from medmamba_monai.federation.nvflare_site import SiteExecutor
from medmamba_monai.federation.options import Plan, Privacy
from medmamba_monai.federation.site_worker import EVALUATE, TASKS, TRAIN, VALIDATE

PACKAGE = "medmamba_monai"


def make_recipe(plan: Plan, sites: Sequence[str], results: str = "") -> Recipe:
    """Return the job of a federation.

    Args:
        plan: of the federation.
        sites: names of all sites.
        results: folder of the results; empty to leave it to the server, see `FederationController`.
    """
    needed = plan.options.min_sites or len(sites)
    job = FedJob(make_file_name(plan.options.run_name), min_clients=needed)
    job.set_app_packages([PACKAGE])  # installed at each site, so that the job carries no code
    job.to_server(FederationController(plan.to_message(), sites, results))
    for site in sites:
        job.to(SiteExecutor(), site, tasks=list(TASKS))
    recipe = Recipe(job)
    privacy = make_filter(plan.options.privacy)
    if plan.options.encrypts:
        decrypt, privacy = make_filters()
        recipe.add_client_input_filter(decrypt, tasks=[TRAIN, VALIDATE, EVALUATE], clients=list(sites))
    if privacy is not None:
        recipe.add_client_output_filter(privacy, tasks=[TRAIN], clients=list(sites))
    return recipe


def make_filter(privacy: Privacy) -> Filter | None:
    """Return NVFlare's filter that changes an update, with NVFlare's own settings; None for none."""
    kinds: dict[Privacy, type[Filter]] = {"percentile": PercentilePrivacy, "svt": SVTPrivacy}
    return kinds[privacy]() if privacy in kinds else None
