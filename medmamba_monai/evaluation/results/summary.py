"""The paper's metrics over the folds of a cross-validation, on one part of the data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import METRICS
from medmamba_monai.evaluation.results.formatting import format_value


@dataclass(frozen=True)
class Summary:
    """The metrics of the folds on one part of the data, and of their combination.

    Attributes:
        part: what was evaluated, as a reader shall see it: `validation`, `test`.
        num_folds: how many folds the cross-validation has.
        folds: the metrics of every finished fold, by fold number; each has at least the names in `METRICS`.
        combined: metrics of the combination of the finished folds, if there is one.
        combination: what `combined` is: `ensemble` (mean probabilities) or `pooled` (joined test parts).
        reasons: for a fold that did not finish, why, where known.
        task: of the dataset, which decides what the remarks below the table say.

    Raises:
        UserError: on creation, for a fold that the cross-validation does not have or a metric that is missing or not
            a finite number.
    """

    part: str
    num_folds: int
    folds: Mapping[int, Mapping[str, float]]
    combined: Mapping[str, float] | None = None
    combination: str = "ensemble"
    reasons: Mapping[int, str] = field(default_factory=dict)
    task: str = "multi-class"

    def __post_init__(self) -> None:
        for fold in (*self.folds, *self.reasons):
            if not 0 <= fold < self.num_folds:
                raise UserError(f"fold {fold} does not exist: the {self.num_folds} folds are 0 to {self.num_folds - 1}")
        for fold, values in self.folds.items():
            _require_metrics(values, f"fold {fold}")
        if self.combined is not None:
            _require_metrics(self.combined, f"the {self.combination} row")

    @property
    def missing(self) -> list[int]:
        """Numbers of the folds that did not finish."""
        return [fold for fold in range(self.num_folds) if fold not in self.folds]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the finished folds; empty where none finished."""
        return {name: statistics.fmean(self._column(name)) for name in METRICS if self.folds}

    @property
    def standard_deviation(self) -> dict[str, float]:
        """Sample standard deviation (n - 1) over the finished folds; empty with fewer than two of them."""
        return {name: statistics.stdev(self._column(name)) for name in METRICS if len(self.folds) > 1}

    @property
    def headline(self) -> str:
        """Accuracy and AUC, and how many folds they are of, in one line."""
        finished = f"{len(self.folds)} of {self.num_folds} folds"
        if not self.folds:
            return f"{self.part}: no results yet, {finished} finished."
        mean, deviation = self.mean, self.standard_deviation
        spread = [f" ± {format_value(name, deviation[name])}" if deviation else "" for name in ("accuracy", "auc")]
        text = f"{self.part}: accuracy {100 * mean['accuracy']:.2f}{spread[0]} %, AUC {mean['auc']:.4f}{spread[1]}"
        if self.combined is not None:
            combined = self.combined
            text += f"; {self.combination}: {100 * combined['accuracy']:.2f} %, {combined['auc']:.4f}"
        return f"{text} ({finished})."

    def _column(self, name: str) -> list[float]:
        return [values[name] for values in self.folds.values()]


def _require_metrics(values: Mapping[str, float], owner: str) -> None:
    for name in METRICS:
        if name not in values:
            raise UserError(f"{owner} has no {name!r}; every row of a summary needs {', '.join(METRICS)}")
        if not math.isfinite(values[name]):
            raise UserError(f"{name!r} of {owner} is {values[name]}: a fold without finite metrics has not finished")
