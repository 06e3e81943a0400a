"""What is said of images as a table, one line an image."""

from __future__ import annotations

from collections.abc import Sequence

from medmamba_monai.evaluation.answers.prediction import Prediction
from medmamba_monai.evaluation.csv_text import format_csv
from medmamba_monai.evaluation.scores import FloatArray


def format_predictions(found: Prediction, ids: Sequence[str], level: float = 0.9) -> str:
    """Return the table as CSV.

    Its columns are ``id``, ``predicted``, the set (not of a multi-label task), ``doubt``, ``unlike`` (where it is
    known), ``reason``, and the probability of each class, as it is and calibrated.

    Args:
        found: of the images.
        ids: of the images.
        level: of the sets, see `Prediction.predict_sets`.
    """
    columns: dict[str, Sequence[str]] = {"id": ids, "predicted": found.predicted_names}
    if found.conformal:
        columns[f"set {level:g}"] = found.name_sets(level)
    columns["doubt"] = _format_numbers(found.doubt)
    if found.unlike is not None:
        columns["unlike"] = _format_numbers(found.unlike)
    columns["reason"] = ["; ".join(reasons) for reasons in found.list_reasons(level)]
    for kind, values in (("probability", found.probabilities), ("calibrated", found.calibrated)):
        columns |= {f"{kind} {name}": _format_numbers(values[:, label]) for label, name in enumerate(found.class_names)}
    return format_csv(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])


def _format_numbers(values: FloatArray) -> list[str]:
    return [f"{value:.6f}" for value in values]
