"""A bundle's cross-validations with several networks and seeds, run together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.bundle.commands import CROSS_VALIDATE
from medmamba_monai.bundle.find_bundle import find_bundle
from medmamba_monai.bundle.workflow import contain_workflow, open_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import make_file_name
from medmamba_monai.cross_validation.plan import Plan, make_plan
from medmamba_monai.cross_validation.together import run_together


def repeat_cross_validation(
    bundle: str | Path,
    networks: Sequence[str],
    seeds: Sequence[int],
    prefix: str = "",
    output_dir: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[dict[str, list[str]], str]:
    """Cross-validate each network with each seed; started again, what is finished is not done again.

    Args:
        bundle: folder of a bundle, or name of a dataset.
        networks: their names.
        seeds: of the trainings.
        prefix: with which the names of the runs begin.
        output_dir: folder that takes a folder for each run; by default the bundle's ``output``.
        options: of every cross-validation, see ``Bundle.cross_validate``.

    Returns:
        The names of the runs of each network, and the store that holds them.

    Raises:
        UserError: a network or a seed is given twice, an option does not fit, or a fold failed.
    """
    for name, values in (("network_name", networks), ("seed", seeds)):
        if not values or len(set(values)) < len(values):
            raise UserError(f"--{name} {' '.join(map(str, values))}: give at least one, and each once")
    root = find_bundle(bundle)
    folder = (output_dir or root / "output").resolve()
    plans: dict[str, list[Plan]] = {network: [] for network in networks}
    for network, seed in itertools.product(networks, seeds):
        run_name = "-".join(part for part in (prefix, network, f"seed{seed}") if part)
        own = {"network_name": network, "seed": seed, "run_name": run_name}
        place = {"output_dir": str(folder / make_file_name(run_name))}
        plans[network].append(_plan(root, {**(options or {}), **own, **place}))
    every = [plan for of_network in plans.values() for plan in of_network]
    run_together(every, folder)
    names = {network: [plan.options.run_name for plan in of_network] for network, of_network in plans.items()}
    return names, every[0].training.tracking_uri


def _plan(root: Path, values: Mapping[str, Any]) -> Plan:
    checked = CROSS_VALIDATE.check(values)
    with contain_workflow():
        workflow = open_workflow(root, CROSS_VALIDATE.configs, CROSS_VALIDATE.run_id, checked, {})
        described = workflow.parser.get_parsed_content("workflow")
        return make_plan(described.bundle_root, described.options, described.training_options)
