"""The results of a federation for people."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate


def format_results(content: dict[str, Any]) -> str:
    """Return the test of each fold as a table: each site, and the mean of the sites weighted by their images.

    Args:
        content: what the server kept, see `medmamba_monai.federation.record.FederationRecord`.
    """
    rows = []
    for fold, found in content["folds"].items():
        scores = {**found["test"]["sites"], "mean of the sites": found["test"]["mean"]}
        for site, values in scores.items():
            rows.append([fold, found["best_round"], site, values.get("test_auc"), values.get("test_accuracy")])
    return tabulate(rows, ["fold", "best round", "site", "AUC", "accuracy"], floatfmt=".4f")


def format_silence(content: dict[str, Any]) -> str:
    """Return a line on each site that was missed in rounds; empty where none was.

    Args:
        content: what the server kept.
    """
    missed: dict[str, list[str]] = {}
    for entry in content["silent"]:
        for site in entry["sites"]:
            missed.setdefault(site, []).append(f"fold {entry['fold']} round {entry['round']} {entry['task']}")
    return "\n".join(f"missed {site}: {', '.join(found)}" for site, found in sorted(missed.items()))
