"""The cross-validation of a bundle: one process a fold, one MLflow parent run with a child for each fold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.core.options import format_options
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.plan import make_plan
from medmamba_monai.cross_validation.running import open_folds
from medmamba_monai.evaluation import CrossValidationResult
from medmamba_monai.training.options import TrainingOptions


class CrossValidation:
    """Train and evaluate a network once a fold, and review the folds together.

    Each fold runs `fold_process` on the bundle's own ``train.json`` and ``evaluate.json``. Started again with the same
    name, finished folds are skipped and the others go on after their last epoch; with the option ``resume`` False
    the folds asked for are trained anew.

    Args:
        bundle_root: folder of the bundle.
        options: of the cross-validation.
        training_options: options of the training that differ from those of its configs, by name; None leaves an option
            to them.

    """

    def __init__(
        self, bundle_root: str | Path, options: CrossValidationOptions, training_options: Mapping[str, Any]
    ) -> None:
        self.bundle_root = bundle_root
        self.options = options
        self.training_options = dict(training_options)

    def run(self) -> CrossValidationResult:
        """Run what is not finished, then summarize.

        Returns:
            What was found.

        Raises:
            UserError: a file is missing or an option does not fit, the output folder holds a cross-validation with
                other settings or is in use, or a fold failed.
        """
        plan = make_plan(self.bundle_root, self.options, self.training_options)
        with open_folds(plan) as running:
            return running.run()

    def format_help(self) -> str:
        """Return a table of all options with their values, for a terminal."""
        inherited = format_options(TrainingOptions, self.training_options, only=self.training_options)
        return f"{self.options.format_help()}\n\nOf each fold's training; None: what its configs say.\n{inherited}"
