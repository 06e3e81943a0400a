"""The result of a cross-validation: the one object that tables, files, figures and reports are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import METRICS
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics, compute_metrics
from medmamba_monai.evaluation.predictions import Combination, Predictions, combine, pool
from medmamba_monai.evaluation.results.classes import ClassSummary, summarize_classes
from medmamba_monai.evaluation.results.formatting import format_spread, format_value
from medmamba_monai.evaluation.results.summary import Summary
from medmamba_monai.evaluation.scores import Task
from medmamba_monai.evaluation.statistics.abstention import AbstentionCurve, trace_abstention
from medmamba_monai.evaluation.statistics.bootstrap import MetricIntervals, bootstrap_intervals
from medmamba_monai.evaluation.statistics.operating_points import OperatingPoints, find_operating_points
from medmamba_monai.evaluation.statistics.prediction_sets import SetSummary, find_prediction_sets
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.temperature_scaling import TemperatureScaling, scale_folds

MIN_RESAMPLES = 100


@dataclass(frozen=True, eq=False)
class CrossValidationResult:
    """What is known of a cross-validation, from the predictions of its finished folds and from nothing else.

    Every number is computed once, when it is first asked for; intervals take the longest. Where no fold has finished,
    `combined` is None, and numbers of the combination raise `UserError`.

    Attributes:
        task: of the dataset.
        class_names: C names for readers, in label order.
        combination: ``ensemble``: mean probabilities of the folds on one test set; ``pooled``: joined test parts.
        num_folds: how many folds the cross-validation has.
        folds: predictions of each finished fold, both its parts, by its number.
        reasons: for a fold that did not finish, why, where known.
        resamples: of each bootstrap.
        seed: of the resampling.
        directory: where the files of the cross-validation are; None of one without files.

    Example::

        result.metrics["auc"], result.intervals.metrics["auc"].low  # (0.9612, 0.9437)

    Raises:
        UserError: on creation, for a fold that the cross-validation does not have, or bootstrap options that cannot be.
    """

    task: Task
    class_names: Sequence[str]
    combination: Combination
    num_folds: int
    folds: Mapping[int, Predictions]
    reasons: Mapping[int, str] = field(default_factory=dict)
    resamples: int = RESAMPLES
    seed: int = 0
    directory: Path | None = None

    def __post_init__(self) -> None:
        check_bootstrap(self.resamples, self.seed)
        for fold in (*self.folds, *self.reasons):
            if not 0 <= fold < self.num_folds:
                raise UserError(f"fold {fold} does not exist: the {self.num_folds} folds are 0 to {self.num_folds - 1}")
        object.__setattr__(self, "folds", dict(sorted(self.folds.items())))
        object.__setattr__(self, "class_names", tuple(self.class_names))

    def __repr__(self) -> str:
        found = f"{len(self.folds)} of {self.num_folds} folds, {self.task}"
        if self.combined is None:
            return f"CrossValidationResult({found}: no results yet)"
        metrics = ", ".join(f"{name} {format_value(name, self.metrics[name])}" for name in METRICS)
        auc = format_spread("auc", [values["auc"] for values in self.fold_metrics.values()])
        images = f"{self.combination} on {len(self.combined)} test images"
        return f"CrossValidationResult({found}; {images}: {metrics}; auc of the folds {auc})"

    @property
    def missing(self) -> list[int]:
        """Numbers of the folds that did not finish."""
        return [fold for fold in range(self.num_folds) if fold not in self.folds]

    @cached_property
    def tested(self) -> Mapping[int, Predictions]:
        """Test predictions of each finished fold."""
        return {fold: found.select("test") for fold, found in self.folds.items()}

    @cached_property
    def validated(self) -> Mapping[int, Predictions]:
        """Validation predictions of each finished fold."""
        return {fold: found.select("validation") for fold, found in self.folds.items()}

    @cached_property
    def combined(self) -> Predictions | None:
        """Test predictions of the combination; None where no fold has finished."""
        return combine(list(self.tested.values()), self.combination) if self.folds else None

    @property
    def combined_predictions(self) -> Predictions:
        """Test predictions of the combination.

        Raises:
            UserError: no fold has finished.
        """
        if self.combined is None:
            raise UserError(
                f"none of the {self.num_folds} folds has finished: a result needs at least one finished fold"
            )
        return self.combined

    @cached_property
    def fold_metrics(self) -> Mapping[int, Mapping[str, float]]:
        """All metrics of each fold's test part."""
        return {fold: compute_metrics(part) for fold, part in self.tested.items()}

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """All metrics of the combination."""
        return compute_metrics(self.combined_predictions)

    @cached_property
    def class_metrics(self) -> Mapping[str, Sequence[float]]:
        """The metrics of each class, of the combination."""
        return compute_class_metrics(self.combined_predictions)

    @cached_property
    def intervals(self) -> MetricIntervals:
        """Intervals of `metrics` and `class_metrics`, or the reasons why there are none."""
        return bootstrap_intervals(self.combined_predictions, self.resamples, self.seed)

    @cached_property
    def fold_intervals(self) -> Mapping[int, Mapping[str, Interval | str]]:
        """Intervals of `fold_metrics`, or the reasons why there are none."""
        intervals = {fold: bootstrap_intervals(part, self.resamples, self.seed) for fold, part in self.tested.items()}
        return {fold: found.metrics for fold, found in intervals.items()}

    def keep_intervals(
        self, intervals: MetricIntervals, fold_intervals: Mapping[int, Mapping[str, Interval | str]]
    ) -> CrossValidationResult:
        """Take intervals that were computed before, as those of a file, in place of computing them."""
        self.__dict__.update(intervals=intervals, fold_intervals=fold_intervals)
        return self

    @cached_property
    def validation(self) -> Mapping[str, float] | None:
        """All metrics of the validation parts of all folds together, where these are the folds themselves; else None.

        Each image is predicted by its own fold's model. They are optimistic, as they chose its epoch.
        """
        return compute_metrics(pool(list(self.validated.values()))) if self.combination == "ensemble" else None

    @cached_property
    def operating_points(self) -> OperatingPoints | None:
        """Sensitivity and specificity at thresholds that validation chose; None of a task without positive classes."""
        return find_operating_points(self.tested, self.validated, self.combined_predictions, self.combination)

    @cached_property
    def calibration(self) -> TemperatureScaling:
        """Calibration before and after a temperature that validation chose."""
        return scale_folds(self.tested, self.validated, self.combined_predictions, self.combination)

    @cached_property
    def prediction_sets(self) -> Sequence[SetSummary] | None:
        """Sets of classes that hold the truth in a stated share of the images; None of a multi-label task."""
        return find_prediction_sets(self.tested, self.validated, self.combination, self.resamples, self.seed)

    @cached_property
    def abstention(self) -> AbstentionCurve | None:
        """Errors of the combination where doubtful images are left to a person; None of a multi-label task."""
        return None if self.task == "multi-label" else trace_abstention(self.combined_predictions)

    @cached_property
    def classes(self) -> ClassSummary:
        """The paper's metrics of each class over the folds."""
        return summarize_classes(list(self.tested.values()), self.combined_predictions, self.combination)

    @cached_property
    def test(self) -> Summary:
        """The paper's metrics on the test parts, fold by fold, and of the combination."""
        combined = None if self.combined is None else {name: self.metrics[name] for name in METRICS}
        folds = {fold: {name: values[name] for name in METRICS} for fold, values in self.fold_metrics.items()}
        return self._summarize("test", folds, combined)

    @cached_property
    def best_validation(self) -> Summary:
        """The paper's metrics on the validation parts, fold by fold."""
        folds = {fold: compute_metrics(part, METRICS) for fold, part in self.validated.items()}
        return self._summarize("validation", folds, None)

    def _summarize(
        self, part: str, folds: Mapping[int, Mapping[str, float]], combined: Mapping[str, float] | None
    ) -> Summary:
        return Summary(part, self.num_folds, folds, combined, self.combination, self.reasons, self.task)


def evaluate_folds(
    folds: Mapping[int, Predictions], combination: Combination = "ensemble", resamples: int = RESAMPLES, seed: int = 0
) -> CrossValidationResult:
    """Make the result of a cross-validation all of whose folds have finished.

    Args:
        folds: the predictions of each fold, both its parts, by its number.
        combination: ``ensemble`` where every fold was tested on the same images, else ``pooled``.
        resamples: of each bootstrap.
        seed: of the resampling.

    Raises:
        UserError: there are no folds, or they differ in their task or classes.
    """
    if not folds:
        raise UserError("a result needs at least one finished fold")
    first = next(iter(folds.values()))
    return CrossValidationResult(
        first.task, first.class_names, combination, max(folds) + 1, folds, resamples=resamples, seed=seed
    )


def check_bootstrap(resamples: int, seed: int) -> None:
    """Check the options of a bootstrap before anything else is computed.

    Raises:
        UserError: they are no whole numbers, or too small.
    """
    for name, value, smallest in (("resamples", resamples, MIN_RESAMPLES), ("seed", seed, 0)):
        if type(value) is not int or value < smallest:
            raise UserError(f"--{name} {value!r}, of the bootstrap: give a whole number from {smallest}")
