"""Names that people read in MLflow and above figures."""

from __future__ import annotations


def format_title(what: str, fold: int | None, views: str = "", within: bool = False) -> str:
    """Return the name of a run, or of a figure: "first, fold 0, test-time augmentation".

    Args:
        what: the run or the dataset.
        fold: number of the fold; None for the ensemble of all.
        views: what it was averaged over, such as "test-time augmentation".
        within: whether what contains it says the name already, as a cross-validation does for its folds.
    """
    where = "ensemble" if fold is None else f"fold {fold}"
    parts = [*([] if within else [what]), where, *([views] if views else [])]
    return ", ".join(parts)
