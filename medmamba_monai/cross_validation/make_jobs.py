"""What the process of a fold is told, here or on another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.plan import Plan
from medmamba_monai.cross_validation.shared_files import digest_files
from medmamba_monai.cross_validation.slots import Slots
from medmamba_monai.tracking.journal import Journal

MEMORY_SHARE = 0.4
"""Part of the available memory that the images of one dataset may take; folds that run at a time share it."""


def make_local_jobs(plan: Plan, folds: Sequence[int], slots: Slots, changes: Mapping[str, Any]) -> list[FoldJob]:
    """Return folds as jobs of this machine, which share its memory.

    Args:
        plan: of the cross-validation.
        folds: their numbers, in order.
        slots: places for folds that run at a time.
        changes: options of the training that are others than those of the plan.
    """
    share = MEMORY_SHARE / slots.most
    after = [-(-(len(folds) - number - 1) // slots.number) for number in range(len(folds))]
    return [
        _make_job(plan, fold, {"trainings_after": left, "memory_share": share}, changes)
        for fold, left in zip(folds, after, strict=True)
    ]


def make_cluster_jobs(plan: Plan, folds: Sequence[int], gpus: int, changes: Mapping[str, Any]) -> list[FoldJob]:
    """Return folds as jobs of other machines, which check there that they see the same files.

    Args:
        plan: of the cross-validation.
        folds: their numbers.
        gpus: GPUs of each; 0 for the CPU.
        changes: options of the training that are others than those of the plan.
    """
    alone = {"trainings_after": 0, "memory_share": MEMORY_SHARE}
    read = (plan.training.data_list, plan.card_path, *plan.config_files, *plan.evaluate_files)
    shared = {"shared_files": digest_files(str(file) for file in read)}
    there = {**changes, "device": "cuda" if gpus else "cpu"}
    return [_make_job(plan, fold, alone, there, shared, plan.options.run_name) for fold in folds]


def _make_job(
    plan: Plan,
    fold: int,
    share: Mapping[str, Any],
    changes: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
    run_name: str = "",
) -> FoldJob:
    directory = RunFolder(plan.output_dir).fold(fold).path
    overrides = {
        **plan.parameters(),
        "bundle_root": str(plan.bundle_root),
        "fold": fold,
        "output_dir": str(directory),
        "ckpt_dir": str(directory),
        "parent_dir": str(plan.output_dir),
        "finish_run": False,
        **share,
        **plan.options.overrides,
        **changes,
    }
    content = {
        "fold": fold,
        "bundle_root": str(plan.bundle_root),
        "config_files": list(plan.config_files),
        "evaluate_files": list(plan.evaluate_files),
        "overrides": overrides,
        "runs_before": Journal(directory).count_runs(),
        **(more or {}),
    }
    return FoldJob(fold, directory, content, run_name)
