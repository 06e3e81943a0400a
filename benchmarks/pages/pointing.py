"""What is written of the pointing game of ``python -m benchmarks.pointing``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from benchmarks.report import markdown_table, measured_on
from medmamba_monai.explain import EXPLANATIONS


def pointing_part(result: dict[str, Any]) -> str:
    """Write how many test images with a nodule each method hits, for each trained network."""
    networks = result["networks"]
    names = sorted(networks[0]["hits"], key=lambda name: -float(np.mean([one["hits"][name] for one in networks])))
    titles = ["", *(f"seed {one['seed']}" for one in networks), "of all", "of recognized"]
    rows = [["recognized", *(str(one["recognized"]) for one in networks), _mean(networks, "recognized"), ""]]
    rows += [_make_row(networks, name) for name in names]
    first = networks[0]
    told = (
        f"Of {first['images']} test images with a nodule: those that a network recognizes, and those where each "
        f"method's map points into it; with 95 % intervals over images (Wilson). Nodules cover "
        f"{100 * first['chance']:.1f} % of an image on average. {measured_on(result)} "
        "Made by `python -m benchmarks.pointing`."
    )
    return f"{markdown_table(titles, rows)}\n\n{told}"


def _make_row(networks: Sequence[dict[str, Any]], name: str) -> list[str]:
    cells = [f"{one['hits'][name]} {_write_interval(one['hits'][name], one['images'])}" for one in networks]
    mean = float(np.mean([one["hits"][name] / one["images"] for one in networks]))
    share = sum(one["hits_of_recognized"][name] for one in networks) / max(
        1, sum(one["recognized"] for one in networks)
    )
    return [EXPLANATIONS[name].title, *cells, f"{100 * mean:.1f} %", f"{100 * share:.1f} %"]


def _mean(networks: Sequence[dict[str, Any]], key: str) -> str:
    return f"{100 * float(np.mean([one[key] / one['images'] for one in networks])):.1f} %"


def _write_interval(hits: int, images: int) -> str:
    """Return the interval of Wilson (1927), which exists at the ends, too, where resampling shows none."""
    interval = binomtest(hits, images).proportion_ci(method="wilson")
    return f"({images * interval.low:.0f} to {images * interval.high:.0f})"
