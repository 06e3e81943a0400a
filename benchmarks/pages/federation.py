"""What is written of ``python -m benchmarks.federation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report import markdown_table, measured_on


def federation_part(result: dict[str, Any]) -> str:
    """Write how good a network of each way is on the test images of all sites."""
    options = result["options"]
    images = next(iter(result["ways"].values()))["images"]
    told = (
        f"{options['sites']} sites with at most {options['images']} training images each, {options['rounds']} rounds "
        f"of an epoch, fold 0, {images} test images of all sites together. Differences by DeLong's test, p adjusted "
        f"by Holm. {measured_on(result)} Made by `python -m benchmarks.federation`."
    )
    return f"{markdown_table(*list_rows(result))}\n\n{told}"


def list_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of the table."""
    rows = []
    for title, way in result["ways"].items():
        limits = "-" if way["interval"] is None else "{:.4f} to {:.4f}".format(*way["interval"])
        difference, p_value = way.get("difference"), way.get("p_holm")
        rows.append(
            [
                title,
                f"{way['auc']:.4f}",
                limits,
                "-" if difference is None else f"{difference:+.4f}",
                "-" if p_value is None else f"{p_value:.2g}",
            ]
        )
    return ["trained with", "AUC", "95 % interval", "minus FedAvg", "p (Holm)"], rows
