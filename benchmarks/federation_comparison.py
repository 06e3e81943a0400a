"""Ways to train of several sites' images, compared on the same test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medmamba_monai.evaluation.statistics.significance import delong, delong_interval, holm

FEDERATED = "federated (FedAvg)"
"""What all other ways are compared with."""
POOLED, ALONE = "pooled images", "each site alone"

Scores = Mapping[str, tuple[float, int]]
"""Score and label of each test image, by name; the name begins with that of the site."""


def compare_ways(found: Mapping[str, Scores], sites: Sequence[str]) -> dict[str, Any]:
    """Compare each way with the federation, on the test images of all sites together and on those of each site.

    An area under the curve of all images together compares images of one site with those of another. Where each site
    has a network of its own, these are scores of unlike networks, so that only the areas by site are fair.

    Args:
        found: by way.
        sites: names of the sites.

    Returns:
        By way the area on all images, its interval and its difference from the federation's, and under ``sites`` the
        same of each site. P values are adjusted by Holm, those of all sites together and those by site each among
        themselves.
    """
    ways = _compare(found, "")
    by_site = {site: _compare(found, f"{site}_") for site in sites}
    places = [(site, title) for site in sites for title in found if title != FEDERATED]
    adjusted = holm([by_site[site][title]["p_value"] for site, title in places])
    for (site, title), p_value in zip(places, adjusted, strict=True):
        by_site[site][title]["p_holm"] = p_value
    others = [title for title in found if title != FEDERATED]
    for title, p_value in zip(others, holm([ways[title]["p_value"] for title in others]), strict=True):
        ways[title]["p_holm"] = p_value
    return {title: {**way, "sites": {site: by_site[site][title] for site in sites}} for title, way in ways.items()}


def _compare(found: Mapping[str, Scores], prefix: str) -> dict[str, Any]:
    """Compare on the images whose names begin so."""
    names = sorted(name for name in found[FEDERATED] if name.startswith(prefix))
    labels = [found[FEDERATED][name][1] for name in names]
    scores = {title: np.array([of_way[name][0] for name in names]) for title, of_way in found.items()}
    ways: dict[str, Any] = {}
    for title, of_way in scores.items():
        area = delong_interval(of_way, labels)
        limits = None if isinstance(area.interval, str) else [area.interval.low, area.interval.high]
        ways[title] = {"auc": area.auc, "interval": limits, "images": len(names)}
        if title != FEDERATED:
            pair = delong(of_way, scores[FEDERATED], labels)
            ways[title] |= {"difference": pair.difference, "p_value": 1.0 if pair.p_value is None else pair.p_value}
    return ways
