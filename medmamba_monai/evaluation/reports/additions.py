"""What the image adds to clinical records, and what they add to the image, where a comparison can tell."""

from __future__ import annotations

from collections.abc import Iterator

from medmamba_monai.evaluation.results.comparison import Comparison, Inputs, Pair
from medmamba_monai.evaluation.results.formatting import format_difference

_BOTH: Inputs = "image and records"
_OTHER: dict[Inputs, tuple[str, str, str]] = {
    "records": ("the image", "adds", "the records"),
    "image": ("the records", "add", "the image"),
}
"""For what one model is given alone: what the other is given more, its verb, and what it is added to."""


def write_additions(comparison: Comparison) -> list[str]:
    """Say of each model with both inputs, beside each with one, whether the other input adds anything to the AUC.

    Returns:
        A sentence each, which claims no more than the tests of the pair; none where no two models differ so.
    """
    return [sentence for pair in comparison.pairs for sentence in _write(pair)]


def _write(pair: Pair) -> Iterator[str]:
    for both, alone in ((0, 1), (1, 0)):
        if pair.inputs[both] == _BOTH and pair.inputs[alone] in _OTHER:
            yield _write_sentence(pair, both, alone)


def _write_sentence(pair: Pair, both: int, alone: int) -> str:
    more, verb, base = _OTHER[pair.inputs[alone]]
    tests = pair.tests["auc"]
    gain = tests.values[both] - tests.values[alone]
    verdict = tests.verdict if both == 0 else {"better": "worse", "worse": "better"}.get(tests.verdict, tests.verdict)
    found = f"AUC {format_difference('auc', gain)}, {pair.names[both]} beside {pair.names[alone]}"
    if verdict == "better":
        said = f"{more} {verb} to {base} ({found}), on these images and over trainings"
    elif verdict == "worse":
        said = f"{more} {verb} nothing to {base}: with both the result is worse ({found})"
    elif verdict == "no difference shown":
        said = f"it is not shown that {more} {verb} anything to {base} ({found})"
    else:
        said = (
            f"with and without {more} the models differ on these images ({found}), but not by more than training on "
            f"other images can make them differ: whether {more} {verb} to {base} is not shown"
        )
    return f"{said[0].upper()}{said[1:]}."
