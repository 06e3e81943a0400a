"""Folds: stratified by class, grouped by patient, checked after they are made.

Images with several labels are stratified by their rarest label, so that the labels with the fewest images, which chance
would spread worst, are spread evenly.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.samples import Sample

Protocol = Literal["official-test", "hold-out", "cross-validation"]

_ATTEMPTS = 10  # chance may leave a rare label out of a fold, though other folds would have it
VALIDATION_PARTS = 10  # without an official test split, a tenth of the training images selects the checkpoint


@dataclass(frozen=True)
class Folds:
    """A partition of the samples that are not official test samples.

    Attributes:
        protocol: ``official-test``: fold f validates, the official test images are the test part.
            ``hold-out``: the same with a test part that `hold_out_test` chose.
            ``cross-validation``: fold f is the test part, a part of the others validates.
        num_folds: number of folds.
        seed: seed of the shuffling.
        fold: fold of every training sample, by id.
        validation: ids that validate for each fold; only for ``cross-validation``.
    """

    protocol: Protocol
    num_folds: int
    seed: int
    fold: dict[str, int]
    validation: dict[int, tuple[str, ...]] = field(default_factory=dict)


def make_folds(samples: Sequence[Sample], num_folds: int, seed: int, class_names: Sequence[str]) -> Folds:
    """Divide samples into folds, each with every class and no group in two of them.

    Samples with the official split ``test`` are left out; where there are none, each fold in turn is the test part and
    a tenth of the rest is set apart for validation (more than a tenth where a class has fewer than ten groups).

    Args:
        samples: all samples of the dataset.
        num_folds: number of folds, at least 2.
        seed: seed of the shuffling, 0 to 2**32 - 1.
        class_names: names in label order.

    Raises:
        UserError: the samples cannot be divided so; names the class and the largest possible number of folds. Or the
            official test split lacks a class, so that no metric over the classes is defined on it.
    """
    _check_numbers(num_folds, seed)
    _check_test(samples, class_names)
    folds = _attempt(samples, num_folds, seed, len(class_names))
    if folds is None:
        raise _explain_impossible(samples, num_folds, seed, class_names)
    return folds


def join_groups(samples: Sequence[Sample], together: Iterable[Sequence[str]]) -> list[Sample]:
    """Return the samples with their groups merged wherever two ids must stay together.

    Groups get numbers for names: what a table calls a patient stays in the table.

    Args:
        samples: samples, with or without groups.
        together: ids that must share a fold, for example copies of one image.
    """
    components = _connect(samples, [*_list_groups(samples), *together])
    sizes = Counter(components)
    names: dict[int, str] = {}
    for sample, component in zip(samples, components, strict=True):
        if sample.group is not None or sizes[component] > 1:
            names.setdefault(component, f"group-{len(names):05d}")
    return [replace(sample, group=names.get(part)) for sample, part in zip(samples, components, strict=True)]


def _connect(samples: Sequence[Sample], together: Iterable[Sequence[str]]) -> list[int]:
    """Return a number for each sample, the same for all that are together, also by way of others."""
    places = {sample.id: place for place, sample in enumerate(samples)}
    pairs = np.array([(places[ids[0]], places[other]) for ids in together for other in ids[1:]], int).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(len(samples), len(samples)))
    return connected_components(graph, directed=False)[1].tolist()


def _list_groups(samples: Sequence[Sample]) -> list[list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        if sample.group is not None:
            ids[sample.group].append(sample.id)
    return list(ids.values())


def _check_numbers(num_folds: int, seed: int) -> None:
    if not isinstance(num_folds, int) or isinstance(num_folds, bool) or num_folds < 2:
        raise UserError(f"num_folds: must be a whole number of at least 2, found {num_folds!r}")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise UserError(f"seed: must be a whole number from 0 to 2**32 - 1, found {seed!r}")


def _check_test(samples: Sequence[Sample], class_names: Sequence[str]) -> None:
    tested = [sample for sample in samples if sample.split == "test"]
    if not tested:
        return
    names, marks = name_marks(tested, class_names), _mark_classes(tested, len(class_names))
    absent = [name for name, column in zip(names, marks.T, strict=True) if not column.any()]
    if absent:
        raise UserError(
            f"the official test split has no image of {', '.join(map(repr, absent))}, so its metrics are not defined: "
            "complete it, or leave the split out of the card"
        )


def _mark_classes(samples: Sequence[Sample], num_classes: int) -> np.ndarray:
    """Return what every part must have: a column for each class; for several labels, one for its absence too."""
    labels = np.array([sample.label for sample in samples])
    if labels.ndim == 2:
        return np.concatenate([labels == 1, labels == 0], axis=1)
    return labels[:, None] == np.arange(num_classes)


def name_marks(samples: Sequence[Sample], class_names: Sequence[str]) -> list[str]:
    """Return names of what every part must have: the classes; for several labels, also their absence."""
    without = [f"not {name}" for name in class_names]
    return [*class_names, *without] if isinstance(samples[0].label, tuple) else list(class_names)


def _choose_strata(samples: Sequence[Sample]) -> np.ndarray:
    """Return the class of each sample; of several labels the rarest one, and a class of its own for none."""
    labels = np.array([sample.label for sample in samples])
    if labels.ndim == 1:
        return labels
    counts = labels.sum(axis=0)
    rarest = np.where(labels == 1, counts, len(labels) + 1).argmin(axis=1)
    return np.where(labels.any(axis=1), rarest, labels.shape[1])


def _attempt(samples: Sequence[Sample], num_folds: int, seed: int, num_classes: int) -> Folds | None:
    training = [sample for sample in samples if sample.split != "test"]
    assigned = assign_parts(training, num_folds, seed, num_classes)
    if assigned is None:
        return None
    fold = {sample.id: int(number) for sample, number in zip(training, assigned, strict=True)}
    if len(training) < len(samples):
        return Folds("official-test", num_folds, seed, fold)
    validation = {}
    for number in range(num_folds):
        ids = _choose_validation([sample for sample in training if fold[sample.id] != number], seed, num_classes)
        if ids is None:
            return None
        validation[number] = ids
    return Folds("cross-validation", num_folds, seed, fold, validation)


def _explain_impossible(samples: Sequence[Sample], num_folds: int, seed: int, class_names: Sequence[str]) -> UserError:
    training = [sample for sample in samples if sample.split != "test"]
    groups = count_groups_per_class(training, len(class_names))
    available, rarest = min(zip(groups, name_marks(training, class_names), strict=True))
    largest = find_largest_number_of_folds(samples, num_folds + 1, seed, class_names)
    advice = f"the largest possible number is {largest}" if largest else "no number of folds is possible: add images"
    return UserError(
        f"num_folds: {num_folds} folds with every class in each part cannot be made: class {rarest!r} has {available} "
        f"separate images or groups; {advice}"
    )


def find_largest_number_of_folds(
    samples: Sequence[Sample], limit: int, seed: int, class_names: Sequence[str]
) -> int | None:
    """Return the largest possible number of folds, not above a limit; None where not even two can be made."""
    training = [sample for sample in samples if sample.split != "test"]
    available = min(count_groups_per_class(training, len(class_names)))
    candidates = range(min(available, limit), 1, -1)
    return next((k for k in candidates if _attempt(samples, k, seed, len(class_names))), None)


def count_groups_per_class(samples: Sequence[Sample], num_classes: int) -> list[int]:
    """Return how many groups have each of what `name_marks` names."""
    marks = _mark_classes(samples, num_classes)
    groups = np.unique([_name_group(sample) for sample in samples], return_inverse=True)[1]
    return [len(np.unique(groups[column])) for column in marks.T]


def _name_group(sample: Sample) -> str:
    return f"group {sample.group}" if sample.group is not None else f"alone {sample.id}"


def assign_parts(samples: Sequence[Sample], num_folds: int, seed: int, num_classes: int) -> np.ndarray | None:
    """Return the part of each sample, with every class in every part and no group in two; None where that cannot be."""
    if num_folds > min(count_groups_per_class(samples, num_classes)):
        return None
    marks, strata = _mark_classes(samples, num_classes), _choose_strata(samples)
    groups = np.unique([_name_group(sample) for sample in samples], return_inverse=True)[1]
    for attempt in range(_ATTEMPTS):
        assigned = np.full(len(samples), -1)
        for number, held_out in enumerate(_split_samples(strata, groups, num_folds, (seed + attempt) % 2**32)):
            assigned[held_out] = number
        _check_groups(groups, assigned)
        if all(marks[assigned == number].any(axis=0).all() for number in range(num_folds)):
            return assigned
    return None


def _split_samples(strata: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> list[np.ndarray]:
    count = len(np.unique(groups))
    with warnings.catch_warnings():  # of several labels a stratum may be small; the caller checks every label itself
        warnings.filterwarnings("ignore", message="The least populated class")
        if count == len(groups):
            alone = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
            return [held_out for _, held_out in alone.split(strata, strata)]
        # shuffled here: until 1.8, scikit-learn's own shuffling of groups lost the stratification
        shuffled = np.random.default_rng(seed).permutation(count)[groups]
        return [held_out for _, held_out in StratifiedGroupKFold(num_folds).split(strata, strata, shuffled)]


def _check_groups(groups: np.ndarray, assigned: np.ndarray) -> None:
    pairs = np.unique(np.stack([groups, assigned]), axis=1)
    if (assigned < 0).any() or len(np.unique(pairs[0])) < pairs.shape[1]:
        raise RuntimeError("scikit-learn left a sample out or put a group into two folds")


def _choose_validation(rest: Sequence[Sample], seed: int, num_classes: int) -> tuple[str, ...] | None:
    """Return a tenth of the samples; more where that would lack a class, None where nothing would be left."""
    largest = min(VALIDATION_PARTS, *count_groups_per_class(rest, num_classes))
    for parts in range(largest, 1, -1):
        assigned = assign_parts(rest, parts, seed, num_classes)
        if assigned is not None:
            return tuple(sample.id for sample, part in zip(rest, assigned, strict=True) if part == 0)
    return None
