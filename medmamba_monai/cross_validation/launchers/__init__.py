"""Where the folds of a cross-validation run when not on this machine: one scheduler a file, watched by one loop."""

from __future__ import annotations

from collections.abc import Callable

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.launchers.ray import Ray, RayOptions
from medmamba_monai.cross_validation.launchers.slurm import Slurm, SlurmOptions
from medmamba_monai.cross_validation.launchers.watch import Scheduler, WatchedJobs
from medmamba_monai.cross_validation.options import CrossValidationOptions

__all__ = ["SCHEDULERS", "WatchedJobs", "make_scheduler", "tag_machines"]

SCHEDULERS: dict[str, Callable[[RunFolder, CrossValidationOptions], Scheduler]] = {
    "slurm": lambda folder, options: Slurm(folder, SlurmOptions.of(options)),
    "ray": lambda folder, options: Ray(folder, RayOptions.of(options)),
}
"""By the name of the launcher, all but the one of this machine."""


def make_scheduler(options: CrossValidationOptions, folder: RunFolder) -> Scheduler | None:
    """Return what runs the folds elsewhere, which is not asked anything yet; None where they run on this machine.

    Args:
        options: of the cross-validation.
        folder: of the run that the jobs belong to.
    """
    return SCHEDULERS[options.launcher](folder, options) if options.launcher in SCHEDULERS else None


def tag_machines(scheduler: Scheduler | None) -> dict[str, str]:
    """Return the tag of a run that says where its folds ran, in place of what this machine is; none for this machine.

    Example:
        >>> tag_machines(None)
        {}
    """
    if scheduler is None:
        return {}
    gpus = "no GPU" if not scheduler.gpus else "1 GPU" if scheduler.gpus == 1 else f"{scheduler.gpus} GPUs"
    return {"device": f"jobs of {scheduler.title}, {gpus} each"}
