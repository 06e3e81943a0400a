"""What is written of ``python -m benchmarks.federation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report import markdown_table, measured_on


def federation_part(result: dict[str, Any]) -> str:
    """Write how good a network of each way is on the test images of all sites."""
    options = result["options"]
    first = next(iter(result["ways"].values()))
    images = first["images"]
    by_site = [markdown_table(*list_site_rows(result))] if "sites" in first else []
    took = f", in {result['seconds'] / 60:.0f} minutes" if "seconds" in result else ""
    told = (
        f"{options['sites']} sites of {_DATASETS[options.get('data', 'phantom')]}{_count_training(result)}, "
        f"{options['rounds']} rounds of an epoch, fold 0, {images} test images of all sites together. Differences by "
        f"DeLong's test, p adjusted by Holm{_NOTE if by_site else ''}. {measured_on(result)} Made by "
        f"`python -m benchmarks.federation{_write_options(options)}`{took}."
    )
    return "\n\n".join([markdown_table(*list_rows(result)), *by_site, told])


_NOTE = ", of each table by itself"
_DATASETS = {"phantom": "the phantom", "pneumoniamnist": "PneumoniaMNIST"}


def _count_training(result: Mapping[str, Any]) -> str:
    """Say how many images of each class each site has to learn from."""
    if "training_images" not in result:
        return f" with at most {result['options']['images']} training images each"
    counts = result["training_images"]
    classes = ", ".join(next(iter(counts.values())))
    return f" with training images ({classes}) " + "; ".join(
        " and ".join(map(str, by_class.values())) for by_class in counts.values()
    )


def _write_options(options: Mapping[str, Any]) -> str:
    data = options.get("data", "phantom")
    place = "" if data == "phantom" else " --dataset-dir FOLDER"
    ways = f" --ways {' '.join(options['ways'])}" if "ways" in options else ""
    size = f" --sites {options['sites']} --images {options['images']} --rounds {options['rounds']}"
    return f" --data {data}{place}{size}{ways}"


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


def list_site_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return titles and rows of the table of each site's own test images."""
    rows = [[title, *map(_write_area, way["sites"].values())] for title, way in result["ways"].items()]
    sites = next(iter(result["ways"].values()))["sites"]
    return ["AUC at each site (minus FedAvg, p)", *(site.replace("_", " ") for site in sites)], rows


def _write_area(way: Mapping[str, Any]) -> str:
    compared = f" ({way['difference']:+.4f}, {way['p_holm']:.2g})" if "p_holm" in way else ""
    return f"{way['auc']:.4f}{compared}"
