"""The choice of the winner: by out-of-fold predictions of validation alone, and what choosing costs.

Nothing here reads a prediction of a test part; `choice.json` is written before anything else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from medmamba_monai.auto.standings import Score, rank_scores
from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import Predictions, compute_metrics, pool, read_predictions
from medmamba_monai.evaluation.predictions import align
from medmamba_monai.evaluation.scores import Task
from medmamba_monai.evaluation.statistics.choosing import CostOfChoosing, compute_cost_of_choosing

FILE_NAME = "choice.json"


class Choice(BaseModel):
    """Which finalist was chosen, by what, and what that cost.

    Attributes:
        winner: name of the candidate.
        folds: those whose validation predictions decided, which all finalists have.
        images: how many images these are.
        scores: of each finalist on them together, by name.
        corrected: AUC of the choice without the optimism of having chosen by it, see `compute_cost_of_choosing`; None
            where no resample could be used.
        low: lower limit of its interval; None where there is none, see `CostOfChoosing`.
        high: upper limit.
        level: of the interval.
        optimism: AUC of the winner minus `corrected`, likewise.
        shares: how often each finalist won in resamples.
        resamples: how many were drawn.
        left_out: of them, those that could not be used, as a class was absent.
        units: what was drawn, ``images`` or ``groups``.
        num_units: how many there are.
        seconds: of computing that the search spent until the choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    winner: str
    folds: tuple[int, ...]
    images: int
    scores: dict[str, Score]
    corrected: float | None
    low: float | None
    high: float | None
    level: float
    optimism: float | None
    shares: dict[str, float]
    resamples: int
    left_out: int = 0
    units: str
    num_units: int
    seconds: float

    def write(self, folder: Path) -> None:
        """Write the choice into the folder of a search, whole or not at all."""
        write_json(folder / FILE_NAME, self.model_dump(mode="json"))


def read_choice(folder: Path) -> Choice | None:
    """Return the choice of a search; None before it was made.

    Raises:
        UserError: the file is damaged.
    """
    return read_document(folder / FILE_NAME, Choice) if (folder / FILE_NAME).is_file() else None


def read_out_of_fold(folder: RunFolder, folds: Sequence[int], task: Task, class_names: Sequence[str]) -> Predictions:
    """Read what each fold's model says of the images that it was validated on, all together.

    Args:
        folder: of the cross-validation.
        folds: numbers of finished folds.
        task: of the dataset.
        class_names: in label order.

    Raises:
        UserError: predictions cannot be read.
    """
    files = [folder.fold(fold).predictions for fold in folds]
    return pool([read_predictions(file, task, class_names, part="validation") for file in files])


def score_predictions(predictions: Predictions) -> Score:
    """Return AUC and log loss of predictions."""
    values = compute_metrics(predictions, ("auc", "log_loss"))
    return Score(auc=values["auc"], log_loss=values["log_loss"])


def choose_winner(
    finalists: Mapping[str, Predictions],
    folds: Sequence[int],
    seconds: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Choice:
    """Choose the finalist with the highest AUC, of a tie the one with the lowest log loss.

    Args:
        finalists: out-of-fold predictions of validation by the finalist's name, in the order of the race.
        folds: that they are of.
        seconds: of computing that the search spent until now.
        resamples: of the correction for choosing.
        seed: of the resampling.

    Raises:
        UserError: finalists that predicted other images.
    """
    first = next(iter(finalists.values()))
    aligned = {name: align(found, first, number) for number, (name, found) in enumerate(finalists.items())}
    scores = {name: score_predictions(found) for name, found in aligned.items()}
    cost: CostOfChoosing = compute_cost_of_choosing(aligned, resamples, seed)
    return Choice(
        winner=rank_scores(scores)[0],
        folds=tuple(folds),
        images=len(first),
        scores=scores,
        corrected=cost.corrected,
        low=None if cost.interval is None else cost.interval.low,
        high=None if cost.interval is None else cost.interval.high,
        level=cost.resampling.level,
        optimism=cost.optimism,
        shares=dict(cost.shares),
        resamples=resamples,
        left_out=cost.left_out,
        units=cost.resampling.units,
        num_units=cost.resampling.num_units,
        seconds=seconds,
    )
