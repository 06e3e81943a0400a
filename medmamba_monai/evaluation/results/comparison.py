"""The comparison of cross-validations on the same folds: which differences tests support, and which they do not.

Two questions are asked of each metric in `COMPARED`, and that one network is better than another is claimed only where
both are answered with yes, at 5 % after Holm's correction over all pairs and metrics:

- Do the trained models differ on images like these? By DeLong's test for the AUC of a binary task and McNemar's for the
  accuracy, on the predictions of the ensemble (or the pooled ones); by the paired bootstrap where these do not fit: an
  AUC that is a mean over classes or labels, an accuracy of images that are not independent.
- Is the difference larger than what training on other images makes of it? By the corrected resampled t-test (Nadeau and
  Bengio 2003) over the folds, of every repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple, get_args

import numpy as np

from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE
from medmamba_monai.evaluation.metrics.compute import compute_metrics
from medmamba_monai.evaluation.predictions import Combination, Predictions, align, combine, ensemble
from medmamba_monai.evaluation.scores import Task
from medmamba_monai.evaluation.statistics.bootstrap import (
    MetricIntervals,
    PairedDifferences,
    bootstrap_differences,
    bootstrap_intervals,
)
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.evaluation.statistics.significance import (
    FoldDifference,
    corrected_resampled_t_test,
    delong,
    holm,
    mcnemar,
)

COMPARED = ("auc", "accuracy")
"""The metrics that tests decide about; the others are reported with intervals."""

Inputs = Literal["image", "records", "image and records", "tiles of slides", "patches of volumes"]
"""What a model is given of a case: its image, its clinical records, both, or features of the tiles of its slide."""

OF_LAYOUTS: dict[str, Inputs] = {"slides": "tiles of slides", "patches": "patches of volumes"}
"""What models are given where the kind of a card's layout decides it."""

INPUTS: tuple[Inputs, ...] = get_args(Inputs)

LEVEL = 0.05
"""An adjusted p-value below this supports a claim."""


@dataclass(frozen=True)
class Model:
    """A network as one or several cross-validations found it: repetitions with other seeds.

    Attributes:
        name: for readers.
        runs: for each repetition the predictions of every fold, both parts, by the fold's number.
        inputs: what it is given of a case.
    """

    name: str
    runs: Sequence[Mapping[int, Predictions]]
    inputs: Inputs = "image"

    def combine_runs(self, combination: Combination) -> list[Predictions]:
        """Return the test predictions of each repetition, its folds combined."""
        return [combine([run[fold].select("test") for fold in sorted(run)], combination) for run in self.runs]

    def combine(self, combination: Combination) -> Predictions:
        """Return those of all repetitions, averaged."""
        return ensemble(self.combine_runs(combination))


class ImageTest(NamedTuple):
    """A test over images: its name for readers, and its p-value, None where it cannot be made."""

    name: str
    p_value: float | None


@dataclass(frozen=True)
class MetricTests:
    """What the tests say of one metric of two models.

    Attributes:
        values: of the two, combined.
        over_images: of the trained models on these images.
        over_folds: of the trainings, first minus second.
        image_p: p-value over images after Holm's correction; 1 where the test cannot be made.
        fold_p: the same over folds.
    """

    values: tuple[float, float]
    over_images: ImageTest
    over_folds: FoldDifference
    image_p: float = 1.0
    fold_p: float = 1.0

    @property
    def verdict(self) -> str:
        """Of the first model: ``better``, ``worse``, ``these models differ`` or ``no difference shown``."""
        if self.image_p >= LEVEL:
            return "no difference shown"
        same_sign = (self.values[0] - self.values[1]) * self.over_folds.mean > 0
        if self.fold_p >= LEVEL or not same_sign:
            return "these models differ"
        return "better" if self.values[0] > self.values[1] else "worse"


@dataclass(frozen=True)
class Pair:
    """Two models: tests of `COMPARED`, and the bootstrap of the differences of all metrics, first minus second."""

    names: tuple[str, str]
    tests: Mapping[str, MetricTests]
    differences: PairedDifferences
    inputs: tuple[Inputs, Inputs] = ("image", "image")


@dataclass(frozen=True)
class FactsAuc:
    """How well facts that are not medicine tell the classes, without a picture: the mean AUC and its 95 % interval.

    It was cross-validated on the same folds, without the test images.
    """

    auc: float
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """Models on the same folds.

    Attributes:
        models: as they were given.
        task: of the dataset.
        combination: ``ensemble`` or ``pooled``.
        metrics: all metrics of each model's combination, by its name.
        intervals: their intervals.
        run_metrics: the metrics of each repetition alone.
        pairs: all pairs, each in the order of the models.
        facts: how well facts of the files alone tell the classes, where that is known.
    """

    models: Sequence[Model]
    task: Task
    combination: Combination
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, MetricIntervals]
    run_metrics: Mapping[str, Sequence[Mapping[str, float]]]
    pairs: Sequence[Pair]
    facts: FactsAuc | None = None

    @property
    def num_tests(self) -> int:
        """How many p-values each of the two Holm corrections was made for."""
        return len(self.pairs) * len(COMPARED)


def compare(
    models: Sequence[Model], combination: Combination = "ensemble", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare models that were cross-validated on the same folds.

    Args:
        models: two or more, with different names.
        combination: ``ensemble`` of the folds on the test set, or ``pooled`` test parts.
        resamples: of each bootstrap.
        seed: of the resampling.

    Raises:
        UserError: fewer than two models, a name that comes twice, numbers of repetitions or folds that differ, or
            predictions that are not of the same images.
    """
    _check_models(models)
    runs = {model.name: model.combine_runs(combination) for model in models}
    combined = [ensemble(found) for found in runs.values()]
    combined = [align(member, combined[0], number) for number, member in enumerate(combined)]
    pairs = []
    for a, b in combinations(range(len(models)), 2):
        pair_models, pair = (models[a], models[b]), (combined[a], combined[b])
        differences = bootstrap_differences(*pair, resamples, seed)
        tests = {metric: _test(metric, pair_models, pair, differences, combination) for metric in COMPARED}
        names, inputs = (models[a].name, models[b].name), (models[a].inputs, models[b].inputs)
        pairs.append(Pair(names, tests, differences, inputs))
    named = {model.name: member for model, member in zip(models, combined, strict=True)}
    return Comparison(
        models=tuple(models),
        task=combined[0].task,
        combination=combination,
        metrics={name: compute_metrics(found) for name, found in named.items()},
        intervals={name: bootstrap_intervals(found, resamples, seed) for name, found in named.items()},
        run_metrics={name: [compute_metrics(run) for run in found] for name, found in runs.items()},
        pairs=_adjust(pairs),
    )


def compute_test_to_train_ratio(run: Mapping[int, Predictions], combination: Combination) -> float:
    """Divide the images of the part that a fold holds out by those that train it, on average over the folds.

    The held-out part is the fold itself: its validation images where the test set is official (``ensemble``), else its
    test images.
    """
    counts = [Counter(fold.parts) for fold in run.values()]
    held_out = [count["validation" if combination == "ensemble" else "test"] for count in counts]
    aside = [0 if combination == "ensemble" else count["validation"] for count in counts]
    total = sum(held_out)
    return float(np.mean([held / (total - held - kept) for held, kept in zip(held_out, aside, strict=True)]))


def _test(
    metric: str,
    models: Sequence[Model],
    combined: tuple[Predictions, Predictions],
    differences: PairedDifferences,
    combination: Combination,
) -> MetricTests:
    first, second = (CATALOGUE[metric].compute(member) for member in combined)
    ratio = compute_test_to_train_ratio(models[0].runs[0], combination)
    over_folds = corrected_resampled_t_test(_list_fold_differences(metric, models), ratio)
    return MetricTests((first, second), compare_on_images(metric, combined, differences), over_folds)


def _list_fold_differences(metric: str, models: Sequence[Model]) -> list[float]:
    """First minus second on each fold's test part, repetition by repetition."""
    differences = []
    for runs in zip(*(model.runs for model in models), strict=True):
        for fold in sorted(runs[0]):
            parts = [run[fold].select("test") for run in runs]
            values = [CATALOGUE[metric].compute(part) for part in parts]
            differences.append(values[0] - values[1])
    return differences


def compare_on_images(
    metric: str, combined: tuple[Predictions, Predictions], differences: PairedDifferences
) -> ImageTest:
    """Test whether two trained models differ by a metric on images like these.

    Args:
        metric: one of `COMPARED`.
        combined: predictions of both, in the same order.
        differences: their paired bootstrap, for where no other test fits.
    """
    first, second = combined
    if metric == "auc" and first.task == "binary":
        scores = first.probabilities[:, 1], second.probabilities[:, 1]
        return ImageTest("DeLong's test", delong(scores[0], scores[1], first.labels, first.groups).p_value)
    if metric == "accuracy" and first.task != "multi-label" and first.groups is None:
        right, also_right = (member.predicted == member.labels for member in combined)
        return ImageTest("McNemar's test", mcnemar(right, also_right).p_value)
    return ImageTest("paired bootstrap", differences.metrics[metric].p_value)


def _adjust(pairs: Sequence[Pair]) -> list[Pair]:
    """Holm's correction over all pairs and metrics, once for the tests over images and once for those over folds."""
    places = [(number, metric) for number in range(len(pairs)) for metric in COMPARED]
    found = [pairs[number].tests[metric] for number, metric in places]
    images = holm([1.0 if tests.over_images.p_value is None else tests.over_images.p_value for tests in found])
    folds = holm([1.0 if tests.over_folds.p_value is None else tests.over_folds.p_value for tests in found])
    adjusted = {
        place: replace(tests, image_p=image_p, fold_p=fold_p)
        for place, tests, image_p, fold_p in zip(places, found, images, folds, strict=True)
    }
    return [
        replace(pair, tests={metric: adjusted[number, metric] for metric in COMPARED})
        for number, pair in enumerate(pairs)
    ]


def _check_models(models: Sequence[Model]) -> None:
    names = [model.name for model in models]
    if len(models) < 2 or len(set(names)) < len(names):
        raise UserError(f"a comparison needs two or more models with different names, found {names}")
    shapes = {model.name: [len(run) for run in model.runs] for model in models}
    if len(set(map(tuple, shapes.values()))) > 1:
        raise UserError(f"models must have the same number of repetitions and folds, found folds of each: {shapes}")
