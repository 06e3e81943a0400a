"""The folds of a cross-validation that a package is made of."""

from __future__ import annotations

from typing import Literal

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation import CrossValidationResult, compute_metrics

Folds = Literal["all", "finished", "best"] | int

CHOICES = ("all", "finished", "best")


def select_folds(result: CrossValidationResult, folds: Folds) -> CrossValidationResult:
    """Return the result itself, or that of one fold alone: the one with the highest AUC on validation, or a number.

    Args:
        result: of the cross-validation.
        folds: see `write_package`.

    Raises:
        UserError: all folds are asked for, and one has not finished; or none has; or the one that is asked for.
    """
    if folds == "all":
        if result.missing:
            raise UserError(
                f"the folds {result.missing} have not finished: start the cross-validation again to go on with them; "
                "medmamba-monai package takes --folds finished or best, too"
            )
        return result
    if folds == "finished" and result.folds:
        return result
    if not result.folds:
        raise UserError("no fold has finished: run the cross-validation on")
    chosen = _find_best(result) if folds == "best" else int(folds)
    if chosen not in result.folds:
        raise UserError(f"fold {chosen} has not finished, or there is none: those that have are {list(result.folds)}")
    return CrossValidationResult(
        result.task,
        result.class_names,
        "ensemble",
        result.num_folds,
        {chosen: result.folds[chosen]},
        resamples=result.resamples,
        seed=result.seed,
        directory=result.directory,
    )


def _find_best(result: CrossValidationResult) -> int:
    scores = {fold: compute_metrics(part, ["auc"])["auc"] for fold, part in result.validated.items()}
    return max(scores, key=lambda fold: scores[fold])
