"""Who is in which fold: stratified by class, grouped by patient, checked after."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from medmamba_monai.data.cards import Split
from medmamba_monai.errors import UserError

Protocol = Literal["official-test", "cross-validation"]

VALIDATION_PARTS = 10  # without an official test split, a tenth of the training images selects the checkpoint


@dataclass(frozen=True)
class Sample:
    """One image and what is known of it.

    Attributes:
        id: stable name, used wherever results are reported; never a path.
        image: file relative to the dataset folder, or ``file.npz#key[index]``.
        label: index of the class.
        split: official split, None where there is none.
        group: samples of one group (a patient, a lesion, copies of one image) stay in one fold; None stands alone.
    """

    id: str
    image: str
    label: int
    split: Split | None = None
    group: str | None = None


@dataclass(frozen=True)
class Folds:
    """A partition of the samples that are not official test samples.

    Attributes:
        protocol: ``official-test``: fold f validates, the official test images are the test part.
            ``cross-validation``: fold f is the test part, a part of the others validates.
        num_folds: number of folds.
        seed: seed of the shuffling.
        fold: fold of every training sample, by id.
        validation: ids that validate for each fold; empty for ``official-test``.
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
        raise _impossible(samples, num_folds, seed, class_names)
    return folds


def join_groups(samples: Sequence[Sample], together: Iterable[Sequence[str]]) -> list[Sample]:
    """Return the samples with their groups merged wherever two ids must stay together.

    Args:
        samples: samples, with or without groups.
        together: ids that must share a fold, for example copies of one image.
    """
    parent = {sample.id: sample.id for sample in samples}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for ids in [*_ids_by_group(samples).values(), *together]:
        for other in ids[1:]:
            parent[root(other)] = root(ids[0])
    names: dict[str, str] = {}
    sizes = Counter(root(sample.id) for sample in samples)
    for sample in samples:
        names.setdefault(root(sample.id), sample.group or f"copies-of-{sample.id}")
    return [
        replace(sample, group=names[root(sample.id)]) if sample.group or sizes[root(sample.id)] > 1 else sample
        for sample in samples
    ]


def _ids_by_group(samples: Sequence[Sample]) -> dict[str, list[str]]:
    ids = defaultdict(list)
    for sample in samples:
        if sample.group is not None:
            ids[sample.group].append(sample.id)
    return ids


def _check_numbers(num_folds: int, seed: int) -> None:
    if not isinstance(num_folds, int) or isinstance(num_folds, bool) or num_folds < 2:
        raise UserError(f"num_folds: must be a whole number of at least 2, found {num_folds!r}")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise UserError(f"seed: must be a whole number from 0 to 2**32 - 1, found {seed!r}")


def _check_test(samples: Sequence[Sample], class_names: Sequence[str]) -> None:
    tested = {sample.label for sample in samples if sample.split == "test"}
    absent = [name for label, name in enumerate(class_names) if label not in tested]
    if tested and absent:
        raise UserError(
            f"the official test split has no image of {', '.join(map(repr, absent))}, so its metrics are not defined: "
            "complete it, or leave the split out of the card"
        )


def _attempt(samples: Sequence[Sample], num_folds: int, seed: int, num_classes: int) -> Folds | None:
    training = [sample for sample in samples if sample.split != "test"]
    assigned = _assign(training, num_folds, seed, num_classes)
    if assigned is None:
        return None
    fold = {sample.id: int(number) for sample, number in zip(training, assigned, strict=True)}
    if len(training) < len(samples):
        return Folds("official-test", num_folds, seed, fold)
    validation = {}
    for number in range(num_folds):
        ids = _validation_ids([sample for sample in training if fold[sample.id] != number], seed, num_classes)
        if ids is None:
            return None
        validation[number] = ids
    return Folds("cross-validation", num_folds, seed, fold, validation)


def _impossible(samples: Sequence[Sample], num_folds: int, seed: int, class_names: Sequence[str]) -> UserError:
    training = [sample for sample in samples if sample.split != "test"]
    groups = _groups_per_class(training, len(class_names))
    available, rarest = min(zip(groups, class_names, strict=True))
    candidates = range(min(available, num_folds + 1), 1, -1)
    largest = next((k for k in candidates if _attempt(samples, k, seed, len(class_names))), None)
    advice = f"the largest possible number is {largest}" if largest else "no number of folds is possible: add images"
    return UserError(
        f"num_folds: {num_folds} folds with every class in each part cannot be made: class {rarest!r} has {available} "
        f"separate images or groups; {advice}"
    )


def _groups_per_class(samples: Sequence[Sample], num_classes: int) -> list[int]:
    groups: list[set[str]] = [set() for _ in range(num_classes)]
    for sample in samples:
        groups[sample.label].add(_group_of(sample))
    return [len(names) for names in groups]


def _group_of(sample: Sample) -> str:
    return f"group {sample.group}" if sample.group is not None else f"alone {sample.id}"


def _assign(samples: Sequence[Sample], num_folds: int, seed: int, num_classes: int) -> np.ndarray | None:
    """Fold of each sample, or None where a fold would lack a class."""
    if num_folds > min(_groups_per_class(samples, num_classes)):
        return None
    labels = np.array([sample.label for sample in samples])
    groups = np.unique([_group_of(sample) for sample in samples], return_inverse=True)[1]
    assigned = np.full(len(samples), -1)
    for number, held_out in enumerate(_held_out(labels, groups, num_folds, seed)):
        assigned[held_out] = number
    _check_groups(groups, assigned)
    present = np.unique(np.stack([assigned, labels]), axis=1)
    return assigned if present.shape[1] == num_folds * num_classes else None


def _held_out(labels: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> Iterable[np.ndarray]:
    count = len(np.unique(groups))
    if count == len(groups):
        alone = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        return (held_out for _, held_out in alone.split(labels, labels))
    # shuffled here: until 1.8, scikit-learn's own shuffling of groups lost the stratification
    shuffled = np.random.default_rng(seed).permutation(count)[groups]
    return (held_out for _, held_out in StratifiedGroupKFold(num_folds).split(labels, labels, shuffled))


def _check_groups(groups: np.ndarray, assigned: np.ndarray) -> None:
    pairs = np.unique(np.stack([groups, assigned]), axis=1)
    if (assigned < 0).any() or len(np.unique(pairs[0])) < pairs.shape[1]:
        raise RuntimeError("scikit-learn left a sample out or put a group into two folds")


def _validation_ids(rest: Sequence[Sample], seed: int, num_classes: int) -> tuple[str, ...] | None:
    """A tenth of the samples; more where a tenth would lack a class, None where nothing would be left to train on."""
    largest = min(VALIDATION_PARTS, *_groups_per_class(rest, num_classes))
    for parts in range(largest, 1, -1):
        assigned = _assign(rest, parts, seed, num_classes)
        if assigned is not None:
            return tuple(sample.id for sample, part in zip(rest, assigned, strict=True) if part == 0)
    return None
