"""Self-supervised pretraining of one fold after the other, or once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from medmamba_monai.bundle.describe import describe_overrides
from medmamba_monai.bundle.workflow import run_workflow


def pretrain_folds(
    open_workflow: Callable[[Mapping[str, Any], Mapping[str, Any]], ConfigWorkflow],
    fold: int | None,
    options: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> Path:
    """Pretrain; what was stopped goes on after its last epoch.

    Args:
        open_workflow: makes a workflow of options and overrides.
        fold: the fold whose training part is learnt from; None for those of all folds, one after the other.
        options: by name; with ``images_dir`` there is one pretraining for all folds. Where folds come one after the
            other, each has a folder of its own in ``output_dir`` and ``ckpt_dir``.
        overrides: what to change in the configs, by id.

    Returns:
        Folder of the run, which ``pretrained`` takes.

    Raises:
        UserError: see `find_unlabelled`, or an option does not fit.
    """
    first = open_workflow({"fold": 0 if fold is None else fold, **options}, overrides).parser
    one = fold is not None or first.get_parsed_content("pretraining_options").images_dir is not None
    chosen = first.get_parsed_content("options").fold
    folds = [chosen] if one else range(first.get_parsed_content("fold_list").num_folds)
    given = {name: Path(options[name]) for name in ("output_dir", "ckpt_dir") if name in options}
    for number in folds:
        after = {"trainings_after": folds[-1] - number}
        own = {} if one else {name: str(folder / f"fold_{number}") for name, folder in given.items()}
        workflow = open_workflow({"fold": number, **options, **own}, {**overrides, **after})
        if overrides:
            workflow.parser["settings#overrides"] = describe_overrides(overrides)
        run_workflow(workflow)
    return given.get("ckpt_dir", given.get("output_dir", Path(first.get_parsed_content("run_dir"))))
