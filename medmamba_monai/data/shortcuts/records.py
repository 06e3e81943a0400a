"""An audit of clinical records: which column alone tells a class so well that it may follow from the diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from medmamba_monai.data.folds.fold_list import FoldList, TrainingItem
from medmamba_monai.data.samples import Sample
from medmamba_monai.data.shortcuts.audit import ask_for_classes
from medmamba_monai.data.shortcuts.facts import Facts
from medmamba_monai.data.shortcuts.findings import LEVEL
from medmamba_monai.data.shortcuts.ranking import Ranking
from medmamba_monai.data.shortcuts.sample import choose_audited

GIVES_AWAY = 0.95
"""A column that tells a class with this area under the ROC curve, or a larger one, is rather its consequence."""


class RecordFinding(BaseModel):
    """How well a column of the records tells a class: by its values, or by whether it has one.

    Attributes:
        column: name of the column.
        by: what of it tells the class: ``values`` or ``missing``.
        name: of the class.
        auc: area under the ROC curve of the cross-validated model; 0.5 is chance.
        low: lower limit of its 95 % interval.
        high: upper limit.
        p_value: one-sided, of chance, times the number of findings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    column: str
    by: Literal["values", "missing"]
    name: str
    auc: float
    low: float
    high: float
    p_value: float

    @property
    def warning(self) -> str | None:
        """What a careful reader should know of it; None where it is as records are."""
        told = f"AUC {self.auc:.2f} ({self.low:.2f} to {self.high:.2f}), chance is 0.50"
        if self.p_value >= LEVEL:
            return None
        if self.by == "missing":
            return (
                f"whether the record {self.column} is missing tells class {self.name}: {told}; if it was asked for "
                "because of the diagnosis, leave the column out of the card's records"
            )
        if self.auc < GIVES_AWAY:
            return None
        return (
            f"the record {self.column} alone tells class {self.name}: {told}; if it follows from the diagnosis, as a "
            "biopsy or a treatment does, it gives the label away: leave it out of the card's records"
        )


def audit_records(folds: FoldList, class_names: tuple[str, ...]) -> tuple[RecordFinding, ...]:
    """Tell how well each column of the records predicts each class, on the saved folds without the official test set.

    Args:
        folds: the dataset.
        class_names: for readers, in label order.

    Returns:
        A finding for each column, each class and each of values and missing, where there are enough images to tell.
    """
    if folds.records is None:
        return ()
    chosen = choose_audited([Sample(item.id, item.image, item.label) for item in folds.training])
    items = sorted((item for item in folds.training if item.id in chosen), key=lambda item: item.id)
    found = [*_rank(folds, items, class_names)]
    return tuple(
        RecordFinding(
            column=folds.records[number].name,
            by=by,
            name=name,
            auc=ranking.auc,
            low=ranking.low,
            high=ranking.high,
            p_value=min(1.0, ranking.p_value * len(found)),
        )
        for number, by, name, ranking in found
    )


def _rank(
    folds: FoldList, items: list[TrainingItem], class_names: tuple[str, ...]
) -> Iterator[tuple[int, Literal["values", "missing"], str, Ranking]]:
    facts = {item.id: _list_facts(item) for item in items}
    ways: tuple[Literal["values", "missing"], ...] = ("values", "missing")
    for question in ask_for_classes(items, class_names, facts):
        for number in range(len(folds.records or ())):
            for by in ways:
                if f"{by} {number}" in question.table.facts:
                    ranked = question.rank(question.table.select(f"{by} {number}"))
                    for target, ranking in ranked.items():
                        yield number, by, question.names[target], ranking


def _list_facts(item: TrainingItem) -> Facts:
    values = enumerate(item.record or ())
    facts: Facts = {}
    for number, value in values:
        facts[f"missing {number}"] = float(value is None)
        if value is not None:
            facts[f"values {number}"] = value
    return facts
