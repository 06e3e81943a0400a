"""The cluster that a search trains on, asked before anything is computed: what it would refuse, it refuses at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.bundle.workflow import contain_workflow, open_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers import make_scheduler
from medmamba_monai.cross_validation.launchers.watch import Scheduler
from medmamba_monai.cross_validation.options import LOCAL
from medmamba_monai.cross_validation.plan import check_precision


def open_cluster(bundle: Path, output: Path, launching: Mapping[str, Any]) -> Scheduler | None:
    """Return what runs the trainings of a search as jobs, once it has answered; None where they run on this machine.

    Args:
        bundle: folder of the bundle.
        output: folder of the search, after which the jobs are named.
        launching: where trainings run: options of `SEARCH`, by name.

    Raises:
        UserError: an option does not fit, or there is no such cluster.
    """
    if launching.get("launcher", LOCAL) == LOCAL:
        _refuse_unused(launching)
        return None
    with contain_workflow():
        workflow = open_workflow(bundle, ["cross_validation"], "cross_validation", launching, {})
        options = workflow.parser.get_parsed_content("workflow").options
    check_precision(options, launching)
    scheduler = make_scheduler(options, RunFolder(output))
    if scheduler is not None:
        scheduler.list_jobs()
    return scheduler


def _refuse_unused(launching: Mapping[str, Any]) -> None:
    """Refuse what only jobs of a cluster have."""
    for name in launching:
        if name not in ("launcher", "amp"):
            raise UserError(
                f"--{name.replace('_', '-')} {launching[name]}: on this machine a search trains one network at a time; "
                "leave it out, or give --launcher slurm or ray, too"
            )
