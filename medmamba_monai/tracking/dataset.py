"""The dataset that a run names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunDataset:
    """The entry of MLflow's column *Dataset*: a name and a digest, no address and no path.

    Args:
        name: short name of the dataset.
        digest: of what the run was given, such as the SHA-256 of a list of folds. MLflow shows the first 12 characters.
        context: what the run did with it, such as ``training``.
    """

    name: str
    digest: str
    context: str = "training"
