"""What validation says of contenders: in an epoch of a training, or in predictions of finished folds."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.auto.choose import read_out_of_fold, score_predictions
from medmamba_monai.auto.contenders import Contender
from medmamba_monai.auto.standings import Score, read_fold_score


def score_first_fold(contender: Contender) -> Score:
    """Return what validation says of fold 0: in the best epoch until now, or of a probe, which has none, at its end."""
    if contender.candidate.probe is None:
        return read_fold_score(contender.folder.fold(0))
    return score_folds(contender, [0])


def score_folds(contender: Contender, folds: Sequence[int]) -> Score:
    """Return what validation says of finished folds, all their images together."""
    card = contender.running.plan.card
    return score_predictions(read_out_of_fold(contender.folder, folds, card.task, card.display_names))
