"""What an audit of shortcuts found: figures and names of facts, never a value of a file."""

from __future__ import annotations

from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict

LEVEL = 0.01
"""All false warnings together: a dataset without a shortcut gets one in no more than 1 of 100 cases."""

What = Literal["class", "official split", "fold"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Carrier(_Strict):
    """How well one fact alone tells what all facts tell: the area under the ROC curve and its 95 % interval."""

    fact: str
    auc: float
    low: float
    high: float


class Finding(_Strict):
    """How well the facts tell images of one kind from all others.

    Attributes:
        what: is told: a class or label, an official split, or a fold.
        name: of the class, split or fold.
        auc: area under the ROC curve of the cross-validated model; 0.5 is chance.
        low: lower limit of its 95 % interval.
        high: upper limit.
        p_value: one-sided, of chance, times the number of findings.
        carriers: the facts that tell it on their own, the best first; empty where nothing is above chance.
    """

    what: What
    name: str
    auc: float
    low: float
    high: float
    p_value: float
    carriers: tuple[Carrier, ...] = ()

    @property
    def above_chance(self) -> bool:
        """Whether the facts tell it better than chance."""
        return self.p_value < LEVEL


class Mean(_Strict):
    """The mean over the classes, to lay beside that of a network.

    Its limits are the means of the classes' limits, which is rather too wide than too narrow.
    """

    auc: float
    low: float
    high: float


class ShortcutAudit(_Strict):
    """How well facts that are not medicine tell the class, the official split and the fold.

    Attributes:
        images: how many were audited.
        images_in_all: of how many.
        facts: names of the facts that differ between images.
        findings: classes first, then splits and folds.
        too_few: what has too few images, or groups, to tell.
    """

    images: int
    images_in_all: int
    facts: tuple[str, ...]
    findings: tuple[Finding, ...]
    too_few: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is above chance."""
        return tuple(finding for finding in self.findings if finding.above_chance)

    @property
    def classes(self) -> tuple[Finding, ...]:
        """The findings of classes, in label order."""
        return tuple(finding for finding in self.findings if finding.what == "class")

    @property
    def mean(self) -> Mean | None:
        """The mean over the classes; None where one of them has too few images to tell."""
        found = self.classes
        if not found or any(text.startswith("class ") for text in self.too_few):
            return None
        return Mean(
            auc=fmean(finding.auc for finding in found),
            low=fmean(finding.low for finding in found),
            high=fmean(finding.high for finding in found),
        )
