"""The tags of the parent run of a cross-validation that say which folds it is of."""

from __future__ import annotations

from medmamba_monai.data import FoldList, describe_shortcuts


def describe_folds(dataset: str, fold_list: FoldList) -> dict[str, str]:
    """Return the tags by name, all of them texts.

    Args:
        dataset: name of the dataset.
        fold_list: its folds.
    """
    return {
        "dataset": dataset,
        "fold_digest": fold_list.digest,
        "protocol": fold_list.protocol,
        "count_mismatch": "; ".join(fold_list.count_mismatch) or "none",
        "checksum_mismatch": "; ".join(fold_list.checksum_mismatch) or "none",
        "shortcuts": describe_shortcuts(fold_list),
    }
