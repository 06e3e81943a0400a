"""What choosing the best of several models costs: bootstrap bias correction of cross-validation.

The model that scores best on the predictions by which it is chosen scores too well there, the more so the more models
there are and the fewer the images. BBC-CV (Tsamardinos, Greasidou and Borboudakis 2018, Bootstrapping the out-of-sample
predictions for efficient and accurate cross-validation, Machine Learning 107, 1895-1922) repeats the choice on
resamples of the out-of-fold predictions and scores each choice on the images that the resample left out, so that no
model is trained anew. Units are drawn as for intervals: images, or groups of them such as patients.

Own code: no package that is installed here has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.metrics.weighted import PreparedScores
from medmamba_monai.evaluation.scores import FloatArray, IntArray, Scores
from medmamba_monai.evaluation.statistics.resampling import (
    MAX_LEFT_OUT,
    MIN_UNITS,
    Interval,
    Resampling,
    Units,
    draw_resamples,
)

DIGITS = 4
"""AUCs that agree to so many digits, those that readers see, are a tie, which the log loss breaks: an AUC that is
saturated, as of an easy task, says nothing more of who is better."""


@dataclass(frozen=True)
class CostOfChoosing:
    """What is known of a choice among models by their AUC.

    Attributes:
        chosen: name of the best on all images.
        auc: its AUC there, too high by having been chosen there.
        corrected: the AUC of the choice, without that; None where no resample could be used.
        interval: of `corrected`: quantiles of the AUCs of choices on the images that their resamples left out; None
            for fewer than `MIN_UNITS` units, and where more than `MAX_LEFT_OUT` of the resamples could not be used: a
            class is then so rare that those which hold it are no fair sample.
        shares: how often each model was chosen in the resamples.
        left_out: resamples that could not be used, as a class was absent from them or from what they left out.
        resampling: how the resamples were drawn.
    """

    chosen: str
    auc: float
    corrected: float | None
    interval: Interval | None
    shares: Mapping[str, float]
    left_out: int
    resampling: Resampling

    @property
    def optimism(self) -> float | None:
        """How much too high the AUC of the chosen one is for having been chosen by it; None where it is not known."""
        return None if self.corrected is None else self.auc - self.corrected


def order_by_score(auc: FloatArray, log_loss: FloatArray) -> IntArray:
    """Return the order of K models, the best first, by their AUC and of ties by their log loss.

    Args:
        auc: (K,) or (K, R).
        log_loss: the same shape.

    Returns:
        Numbers of the models, the same shape; of equals the first one first.
    """
    return np.lexsort((log_loss, -np.round(auc, DIGITS)), axis=0)


def compute_cost_of_choosing(
    models: Mapping[str, Scores], resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> CostOfChoosing:
    """Choose the best of several models by AUC, and estimate what that choice is worth.

    Args:
        models: out-of-fold scores of each model on the same images, by its name.
        resamples: how many to draw.
        seed: of the draws.
        level: of the interval.

    Raises:
        UserError: no model, or models of other images.
    """
    names, prepared = list(models), _prepare(list(models.values()))
    first = next(iter(models.values()))
    units = Units.of(len(first), first.groups)
    everything = _score(prepared, np.ones((len(first), 1)))
    chosen = int(order_by_score(*everything)[0, 0])
    outside, picked = [], []
    for weights in draw_resamples(units, resamples, seed):
        inside_auc, inside_loss = _score(prepared, weights)
        picks = order_by_score(inside_auc, inside_loss)[0]
        found = np.take_along_axis(_score(prepared, (weights == 0).astype(np.float64))[0], picks[None], axis=0)[0]
        defined = ~(np.isnan(inside_auc).any(axis=0) | np.isnan(found))
        outside.append(found[defined])
        picked.append(picks[defined])
    values, picks = np.concatenate(outside), np.concatenate(picked)
    left_out = resamples - len(values)
    return CostOfChoosing(
        chosen=names[chosen],
        auc=float(everything[0][chosen, 0]),
        corrected=float(values.mean()) if len(values) else None,
        interval=_make_interval(values, left_out, level) if units.count >= MIN_UNITS else None,
        shares={name: float(np.mean(picks == number)) if len(picks) else 0.0 for number, name in enumerate(names)},
        left_out=left_out,
        resampling=Resampling(level, resamples, seed, units.kind, units.count),
    )


def _make_interval(values: FloatArray, left_out: int, level: float) -> Interval | None:
    if not len(values) or left_out > MAX_LEFT_OUT * (len(values) + left_out):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), left_out)


def _prepare(models: Sequence[Scores]) -> list[PreparedScores]:
    if not models:
        raise UserError("there is no model to choose from")
    first = models[0]
    for model in models[1:]:
        if model.task != first.task or not np.array_equal(model.labels, first.labels) or model.groups != first.groups:
            raise UserError("models differ in task, labels or groups: give scores of the same images in the same order")
    return [PreparedScores(model) for model in models]


def _score(prepared: Sequence[PreparedScores], weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return AUC and log loss of K models for R weightings, (K, R) each."""
    weighted = [model.weigh(weights) for model in prepared]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [np.array([CATALOGUE[name].weighted(one) for one in weighted]) for name in ("auc", "log_loss")]
    return found[0], found[1]
