"""What leaving the doubtful images to a person would gain: errors against the share of images that are answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medmamba_monai.evaluation.scores import FloatArray, Scores

ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.5)
"""Shares of the images, the surest first, at which a table shows the errors."""


@dataclass(frozen=True, eq=False)
class AbstentionCurve:
    """Errors among the images that a model is surest of (risk-coverage curve, El-Yaniv & Wiener 2010).

    Attributes:
        answered: shares of the images that are answered, ascending; images that are equally sure come in together.
        error: share of wrong answers among them.
        area: mean of the errors over all shares (AURC); 0 is best.
    """

    answered: FloatArray
    error: FloatArray
    area: float

    def find_error(self, answered: float) -> float:
        """Return the error at the smallest share on the curve that is not below ``answered``."""
        return float(self.error[np.searchsorted(self.answered, round(answered, 9) - 1e-9)])


def trace_abstention(scores: Scores) -> AbstentionCurve:
    """Trace the errors from the surest image to all of them; sure is a high probability of the predicted class.

    Args:
        scores: of a task with one class an image.
    """
    sureness = scores.probabilities.max(axis=1)
    wrong = (scores.predicted != scores.labels).astype(np.float64)
    order = np.argsort(-sureness, kind="stable")
    last = np.append(np.flatnonzero(np.diff(sureness[order])), len(order) - 1)
    count = last + 1
    error = np.cumsum(wrong[order])[last] / count
    return AbstentionCurve(count / len(order), error, float(np.average(error, weights=np.diff(count, prepend=0))))
