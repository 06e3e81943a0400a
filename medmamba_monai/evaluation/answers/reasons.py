"""Why an answer is better left to a person, in plain words: one rule a row, and nothing else decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

UNLIKE = 0.95
"""Share of validation images from which on an image is called unlike the training images."""


@dataclass(frozen=True)
class Answer:
    """What is known of one image.

    Attributes:
        level: share of sets that hold the true class.
        doubt: calibrated probability that the predicted class, or the least sure label, is wrong.
        predicted: label of the predicted class; None of a multi-label task.
        members: labels in its set; None of a multi-label task.
        unlike: share of validation images that are less unlike the training images; None where that is not known.
    """

    level: float
    doubt: float
    predicted: int | None
    members: Sequence[int] | None
    unlike: float | None


RULES: tuple[tuple[Callable[[Answer], bool], str], ...] = (
    (lambda a: a.unlike is not None and a.unlike >= UNLIKE, "unlike the training images"),
    (lambda a: a.members is not None and len(a.members) == 0, "no class fits"),
    (lambda a: a.members is not None and len(a.members) > 1, "classes of the set cannot be told apart"),
    (lambda a: a.members is not None and len(a.members) == 1 and a.predicted not in a.members, "set and class differ"),
    (lambda a: a.members is None and a.doubt > 1 - a.level, "a label is not sure"),
)
"""When, and what is said then."""


def list_reasons(answer: Answer) -> list[str]:
    """Return what speaks against an answer, in the order of `RULES`; empty where nothing does.

    Example:
        >>> list_reasons(Answer(level=0.9, doubt=0.4, predicted=1, members=[0, 1], unlike=1.0))
        ['unlike the training images', 'classes of the set cannot be told apart']
    """
    return [words for holds, words in RULES if holds(answer)]
