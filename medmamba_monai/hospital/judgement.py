"""What a package says of one image of a study: numbers, and the words that go with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medmamba_monai.package import Manifest, Prediction

RESEARCH_ONLY = "For research use only."

_LIKELIHOOD = ((0.99, "virtually certain"), (0.9, "very likely"), (0.66, "likely"), (0.33, "about as likely as not"))
"""Words for calibrated probabilities from there on: the scale of the IPCC (Mastrandrea et al. 2010)."""
_LESS = "unlikely"


@dataclass(frozen=True)
class Decision:
    """On which side of a threshold that validation chose an image is.

    Attributes:
        rule: how the threshold was chosen.
        label: the class that is asked for.
        threshold: of its probability, before calibration.
        positive: whether the probability exceeds it.
    """

    rule: str
    label: int
    threshold: float
    positive: bool


@dataclass(frozen=True)
class Judgement:
    """What is said of one image.

    Attributes:
        class_names: in label order.
        probabilities: of each class, mean of the folds.
        calibrated: the same after each fold's temperature.
        predicted: labels; several or none where an image can have several.
        doubt: calibrated probability that this is wrong.
        level: of the prediction set.
        members: labels in the set; None where the task has no sets.
        decisions: at each threshold that holds for these probabilities.
        unlike: share of validation images that are less unlike the training images; None where that is not known.
        reasons: what speaks against the answer.
    """

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]
    calibrated: tuple[float, ...]
    predicted: tuple[int, ...]
    doubt: float
    level: float
    members: tuple[int, ...] | None
    decisions: tuple[Decision, ...]
    unlike: float | None
    reasons: tuple[str, ...]

    def describe(self) -> list[str]:
        """Return what a reader is told, in sentences."""
        parts = (self._describe_classes(), self._describe_set(), self._describe_decisions(), self._describe_doubt())
        return [sentence for part in parts for sentence in part]

    def _describe_classes(self) -> Iterator[str]:
        for label in self.predicted:
            value = self.calibrated[label]
            yield f"{self.class_names[label]}: {find_likelihood(value)} (calibrated probability {format_share(value)})."
        if not self.predicted:
            yield "No class has a probability above 50 %."

    def _describe_set(self) -> Iterator[str]:
        if self.members is None:
            return
        names = " or ".join(self.class_names[label] for label in self.members) or "empty, no class fits well"
        warning, alone = ("", " alone") if len(self.members) == 1 else ("Undecided. ", "")
        yield f"{warning}Prediction set at {format_level(self.level)}: {names}{alone}."

    def _describe_decisions(self) -> Iterator[str]:
        for rule in dict.fromkeys(decision.rule for decision in self.decisions):
            sides = (self._name_sides(rule, positive) for positive in (True, False))
            yield f"By the {rule} on validation: {'; '.join(filter(None, sides))}."

    def _name_sides(self, rule: str, positive: bool) -> str:
        """Return the classes on one side of their thresholds; an empty text where there is none."""
        named = ", ".join(
            f"{self.class_names[one.label]} ({format_share(self.probabilities[one.label])}, threshold "
            f"{format_share(one.threshold)})"
            for one in self.decisions
            if (one.rule, one.positive) == (rule, positive)
        )
        return named and f"{'above' if positive else 'not above'} the threshold for {named}"

    def _describe_doubt(self) -> Iterator[str]:
        yield f"Probability that the prediction is wrong: {format_share(self.doubt)}."
        if self.unlike is not None:
            yield f"More unlike the training images than {format_share(self.unlike)} of the validation images."
        if self.reasons:
            yield f"Better left to a person: {'; '.join(self.reasons)}."


def judge(prediction: Prediction, manifest: Manifest, level: float) -> list[Judgement]:
    """Return what is said of each image of a prediction.

    Args:
        prediction: of B images.
        manifest: of the package that made it.
        level: of the prediction sets.

    Raises:
        UserError: the level is none.
    """
    sets = prediction.predict_sets(level) if prediction.conformal else [None] * len(prediction.probabilities)
    thresholds = find_thresholds(manifest)
    unlike = [None] * len(prediction.probabilities) if prediction.unlike is None else map(float, prediction.unlike)
    return [
        Judgement(
            manifest.class_names,
            tuple(map(float, probabilities)),
            tuple(map(float, calibrated)),
            _list_labels(predicted),
            float(doubt),
            level,
            None if members is None else tuple(map(int, np.flatnonzero(members))),
            tuple(_decide(probabilities, thresholds)),
            share,
            tuple(reasons),
        )
        for probabilities, calibrated, predicted, doubt, members, share, reasons in zip(
            prediction.probabilities,
            prediction.calibrated,
            prediction.predicted,
            prediction.doubt,
            sets,
            unlike,
            prediction.list_reasons(level),
            strict=True,
        )
    ]


def find_thresholds(manifest: Manifest) -> dict[str, list[tuple[int, float]]]:
    """Return label and threshold by rule, of those that hold for what the package predicts; none of pooled folds."""
    points = manifest.figures["operating_points"]
    if not points:
        return {}
    found: Mapping[str, Sequence[float]] = points["thresholds"] or {}
    if not found and len(manifest.members) == 1:
        own = points["folds"][str(manifest.members[0].fold)]
        found = {rule: [point["threshold"] for point in chosen] for rule, chosen in own.items()}
    first = 1 if manifest.task == "binary" else 0
    return {rule: list(enumerate(values, first)) for rule, values in found.items()}


def find_likelihood(probability: float) -> str:
    """Return the word for a calibrated probability.

    Example:
        >>> find_likelihood(0.95), find_likelihood(0.2)
        ('very likely', 'unlikely')
    """
    return next((word for lowest, word in _LIKELIHOOD if probability >= lowest), _LESS)


def format_share(share: float) -> str:
    """Return a probability in percent; what rounds to 0 or 100 is not said to be certain.

    Example:
        >>> format_share(0.1234), format_share(0.99999), format_share(0.0)
        ('12.3 %', 'above 99.9 %', 'below 0.1 %')
    """
    if share > 0.9995:
        return "above 99.9 %"
    return "below 0.1 %" if share < 0.0005 else f"{share * 100:.1f} %"


def format_level(level: float) -> str:
    """Return the level of a prediction set in percent.

    Example:
        >>> format_level(0.9), format_level(0.975)
        ('90 %', '97.5 %')
    """
    return f"{level * 100:.6g} %"


def _list_labels(predicted: np.ndarray) -> tuple[int, ...]:
    """Return labels of a class or of zeros and ones."""
    return (int(predicted),) if np.ndim(predicted) == 0 else tuple(map(int, np.flatnonzero(predicted)))


def _decide(probabilities: np.ndarray, thresholds: Mapping[str, Sequence[tuple[int, float]]]) -> Iterator[Decision]:
    for rule, chosen in thresholds.items():
        for label, threshold in chosen:
            yield Decision(rule, label, threshold, bool(probabilities[label] > threshold))
