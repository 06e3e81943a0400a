"""Where the candidates of a race stand: their scores on validation, and who stays."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_process import read_training
from medmamba_monai.cross_validation.report_inputs import read_history
from medmamba_monai.evaluation.statistics.choosing import DIGITS


class Score(BaseModel):
    """What validation says of a candidate.

    Attributes:
        auc: area under the ROC curve, as the trainings choose epochs by; higher is better.
        log_loss: of the same epoch or predictions; lower is better.
        epoch: the best of those trained; None of several folds together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auc: float
    log_loss: float
    epoch: int | None = None

    @property
    def key(self) -> tuple[float, float]:
        """What scores are ordered by, the best first."""
        return -round(self.auc, DIGITS), self.log_loss


def rank_scores(scores: Mapping[str, Score]) -> list[str]:
    """Return the names, the best first; of equals the one that is named first, as the plan lists them."""
    return sorted(scores, key=lambda name: scores[name].key)


def read_fold_score(folder: RunFolder) -> Score:
    """Return what validation said in the best epoch that a fold has trained until now.

    Args:
        folder: of the fold, whose training has paused or ended.
    """
    training, history = read_training(folder), read_history(folder)
    if training is None:
        raise FileNotFoundError(folder.training)
    epoch = training["best_epoch"]
    values = {name: dict(history[f"validation/{name}"])[epoch] for name in ("auc", "loss")}
    return Score(auc=values["auc"], log_loss=values["loss"], epoch=epoch)
