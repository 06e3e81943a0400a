"""The audit of a dataset: a small model that sees no picture predicts classes, official splits and folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medmamba_monai.data.folds.fold_list import FoldList, TestItem, TrainingItem
from medmamba_monai.data.shortcuts.facts import Facts
from medmamba_monai.data.shortcuts.findings import LEVEL, Carrier, Finding, ShortcutAudit, What
from medmamba_monai.data.shortcuts.model import cross_validate
from medmamba_monai.data.shortcuts.ranking import Ranking, are_enough, rank_images
from medmamba_monai.data.shortcuts.table import FactTable, build_table

_PARTS = 5
"""Of the cross-validation that predicts splits and folds, which cannot be cross-validated on themselves."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is told from the facts of B images.

    Attributes:
        what: kind of the question.
        names: of the targets to tell, by their numbers.
        target: (B,) number of each image's target.
        table: facts (B).
        folds: (B,) of the cross-validation.
        groups: (B,) number of each image's patient or other group.
    """

    what: What
    names: Mapping[int, str]
    target: NDArray[np.int64]
    table: FactTable
    folds: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def answerable(self) -> list[int]:
        """The targets that have enough images to tell."""
        return [number for number in self.names if are_enough(self.target == number, self.folds, self.groups)]

    @property
    def unanswerable(self) -> list[str]:
        """What cannot be told, in words."""
        return [f"{self.what} {name}" for number, name in self.names.items() if number not in self.answerable]

    def rank(self, table: FactTable) -> dict[int, Ranking]:
        """Return how well some facts tell each target that has enough images."""
        if not (numbers := self.answerable):
            return {}
        scores = cross_validate(table, self.target, self.folds)
        return {
            number: rank_images(scores[:, number], self.target == number, self.folds, self.groups) for number in numbers
        }


def audit_shortcuts(
    folds: FoldList, class_names: Sequence[str], facts: Mapping[str, Facts], splits: Mapping[str, str]
) -> ShortcutAudit:
    """Tell how well facts that are not medicine predict what a network shall, and what is in which part.

    Classes are predicted on the saved folds, without the official test images; splits and folds on parts of their own
    that keep groups together.

    Args:
        folds: the dataset.
        class_names: for readers, in label order.
        facts: of the images that are audited, by id.
        splits: official split of each image, by id; empty where there are none.
    """
    questions = list(_ask(folds, class_names, facts, splits))
    ranked = [(question, question.rank(question.table)) for question in questions]
    count = sum(len(found) for _, found in ranked)
    return ShortcutAudit(
        images=len(facts),
        images_in_all=folds.num_images,
        facts=tuple(sorted({fact for question in questions for fact in question.table.facts})),
        findings=tuple(finding for question, found in ranked for finding in _find(question, found, count)),
        too_few=tuple(text for question in questions for text in question.unanswerable),
    )


def _find(question: Question, ranked: Mapping[int, Ranking], count: int) -> Iterator[Finding]:
    """Yield the findings, their p-values multiplied by how many there are in all (Bonferroni)."""
    p_values = {number: min(1.0, found.p_value * count) for number, found in ranked.items()}
    noticed = [number for number, p_value in p_values.items() if p_value < LEVEL]
    facts = question.table.facts if noticed else ()
    alone = {fact: question.rank(question.table.select(fact)) for fact in facts}
    for number, found in ranked.items():
        yield Finding(
            what=question.what,
            name=question.names[number],
            auc=found.auc,
            low=found.low,
            high=found.high,
            p_value=p_values[number],
            carriers=_choose_carriers({fact: by_target[number] for fact, by_target in alone.items()})
            if number in noticed
            else (),
        )


def _ask(
    folds: FoldList, class_names: Sequence[str], facts: Mapping[str, Facts], splits: Mapping[str, str]
) -> Iterator[Question]:
    training = sorted((item for item in folds.training if item.id in facts), key=lambda item: item.id)
    every = sorted((item for item in (*folds.training, *folds.test) if item.id in facts), key=lambda item: item.id)
    yield from ask_for_classes(training, class_names, facts)
    names = sorted({splits[item.id] for item in every if item.id in splits})
    if len(names) > 1:
        target = np.array([names.index(splits[item.id]) for item in every])
        yield _ask_for_part("official split", names, target, every, facts)
    fold_names = [str(number) for number in range(folds.num_folds)]
    yield _ask_for_part("fold", fold_names, np.array([item.fold for item in training], np.int64), training, facts)


def ask_for_classes(
    items: Sequence[TrainingItem], class_names: Sequence[str], facts: Mapping[str, Facts]
) -> Iterator[Question]:
    """Yield what facts are to tell: each class of images with one, or each label of those with several.

    Args:
        items: images that are in folds and have facts.
        class_names: for readers, in label order.
        facts: of the images, by id.
    """
    table, groups = build_table([facts[item.id] for item in items]), _number_groups(items)
    labels = np.array([item.label for item in items], np.int64)
    folds = np.array([item.fold for item in items], np.int64)
    if labels.ndim == 2:
        for number, name in enumerate(class_names):
            yield Question("class", {1: name}, labels[:, number], table, folds, groups)
        return
    names = dict(enumerate(class_names))
    yield Question("class", names if len(names) > 2 else {1: names[1]}, labels, table, folds, groups)


def _ask_for_part(
    what: What, names: Sequence[str], target: NDArray[np.int64], items: Sequence[TestItem], facts: Mapping[str, Facts]
) -> Question:
    groups = _number_groups(items)
    parts = np.random.default_rng(0).permutation(len(items))[groups] % _PARTS
    told = dict(enumerate(names)) if len(names) > 2 else {1: names[1]}
    return Question(what, told, target, build_table([facts[item.id] for item in items]), parts, groups)


def _number_groups(items: Sequence[TestItem]) -> NDArray[np.int64]:
    names = [("alone", item.id) if item.group is None else ("group", item.group) for item in items]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names], np.int64)


def _choose_carriers(alone: Mapping[str, Ranking]) -> tuple[Carrier, ...]:
    """Return the facts that tell a target on their own, beyond what their number makes likely by chance.

    Among equals, those of the file come before those of the margin, where the picture itself may be.
    """
    found = [
        Carrier(fact=fact, auc=ranking.auc, low=ranking.low, high=ranking.high)
        for fact, ranking in alone.items()
        if ranking.p_value * len(alone) < LEVEL
    ]
    return tuple(sorted(found, key=lambda carrier: -carrier.auc))
