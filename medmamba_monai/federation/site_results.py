"""What a federation leaves at a site: the folder of a cross-validation, to be reviewed and packed as any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.files import write_json
from medmamba_monai.core.options import Flag
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.plan import make_plan
from medmamba_monai.cross_validation.record import read_record
from medmamba_monai.cross_validation.review import save_description
from medmamba_monai.cross_validation.settings import check_same_settings
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import Site
from medmamba_monai.tracking.private_values import hide_private_values
from medmamba_monai.training.options import TrainingOptions


def write_fold_result(folder: RunFolder, fold: int, epochs: int, best_epoch: int, config: Mapping[str, Any]) -> None:
    """Write what the process of a fold leaves at its end.

    Args:
        folder: of the fold, with the metrics of its evaluation.
        fold: its number.
        epochs: that the site trained.
        best_epoch: that with which the best round ended at the site.
        config: of the training, as it ran.

    Raises:
        UserError: a file cannot be written.
    """
    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    write_json(folder.executed_config, hide_private_values(dict(config)))
    write_json(folder.result, {"fold": fold, "epochs": epochs, "best_epoch": best_epoch, "metrics": metrics})


def describe_folds(site: Site, plan: Plan) -> None:
    """Write settings and description of the folds that a site has tested so far.

    Args:
        site: the site.
        plan: of the federation.

    Raises:
        UserError: a file cannot be written.
    """
    options = plan.options
    given = {**site.values(plan, 0), "epochs": options.rounds * options.epochs}
    shared = TrainingOptions.model_fields.keys() - set(TrainingOptions.names(Flag.PER_FOLD))
    planned = make_plan(
        site.root,
        CrossValidationOptions(
            run_name=options.run_name,
            output_dir=str(site.folder(plan).path),
            folds=options.folds,
            jobs="auto",
            recipe="paper",
            config_files=["configs/train.json"],
            evaluate_files=["configs/evaluate.json"],
            overrides={},
            bootstrap_resamples=RESAMPLES,
            bootstrap_seed=0,
            report_images=None,
        ),
        {name: value for name, value in given.items() if name in shared},
    )
    check_same_settings(planned)
    record = read_record(planned.output_dir, planned.card, planned.fold_list, {})
    details = {**planned.logged_parameters(), "federation": json.dumps(options.values())}
    title = f"{options.run_name}: {planned.model} of a federation, on the images of {site.name}"
    description = {"title": title, "command": "medmamba-monai federate", "details": details}
    save_description(record, planned.card_path, {**planned.parameters(), "inputs": planned.inputs}, description)
