"""Ways to train of several sites' images, compared on the test images of all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from benchmarks.federation import filter_update
from benchmarks.federation_comparison import ALONE, FEDERATED, POOLED, compare_ways
from benchmarks.pages.federation import federation_part
from benchmarks.report import new_result
from medmamba_monai.evaluation.statistics.significance import delong, holm
from medmamba_monai.federation.job import make_filter
from medmamba_monai.federation.site_worker import Answer


def test_ways_are_compared_image_by_image_with_the_federation():
    generator = np.random.default_rng(0)
    labels = {f"site_1_{number}": number % 2 for number in range(60)}
    scores = {
        way: {name: (float(label * shift + generator.normal()), label) for name, label in labels.items()}
        for way, shift in ((FEDERATED, 0.5), (POOLED, 1.5))
    }
    shuffled = dict(reversed(list(scores[POOLED].items())))
    found = compare_ways({FEDERATED: scores[FEDERATED], POOLED: shuffled}, ["site_1"])
    first, second = ([score for score, _ in scores[way].values()] for way in (POOLED, FEDERATED))
    expected = delong(first, second, list(labels.values()))
    assert found[POOLED]["difference"] == pytest.approx(expected.difference)
    assert found[POOLED]["p_holm"] == pytest.approx(expected.p_value)
    assert found[FEDERATED]["auc"] == pytest.approx(expected.auc_b)
    assert found[FEDERATED]["images"] == 60
    assert found[POOLED]["sites"]["site_1"] == {key: found[POOLED][key] for key in found[POOLED] if key != "sites"}


def test_networks_of_unlike_scale_are_compared_within_each_site():
    """Each site alone tells its own images apart without fault, but by scores that mean nothing elsewhere."""
    generator = np.random.default_rng(0)
    labels = {f"{site}_{number}": number % 2 for site in ("site_1", "site_2") for number in range(40)}
    common = {name: (float(label + generator.normal()), label) for name, label in labels.items()}
    alone = {name: (label + 10.0 * name.startswith("site_2"), label) for name, label in labels.items()}
    pooled = {name: (float(label + generator.normal()), label) for name, label in labels.items()}
    found = compare_ways({FEDERATED: common, POOLED: pooled, ALONE: alone}, ["site_1", "site_2"])
    assert found[ALONE]["auc"] == 0.75
    assert [found[ALONE]["sites"][site]["auc"] for site in ("site_1", "site_2")] == [1.0, 1.0]
    by_site = [found[way]["sites"][site] for way in (POOLED, ALONE) for site in ("site_1", "site_2")]
    assert [entry["p_holm"] for entry in by_site] == pytest.approx(list(holm([entry["p_value"] for entry in by_site])))
    assert by_site[2]["images"] == 40
    assert "sites" in found[FEDERATED]


def test_the_page_has_a_row_for_each_way():
    ways = {
        FEDERATED: {"auc": 0.9, "interval": [0.85, 0.95], "images": 60},
        POOLED: {"auc": 0.95, "interval": None, "images": 60, "difference": 0.05, "p_holm": 0.012},
    }
    result = {**new_result("federation", {"sites": 2, "images": 40, "rounds": 3, "quick": False}), "ways": ways}
    *_, first, second, _, told = federation_part(result).splitlines()
    assert first.split("|")[1:-1] == [f" {FEDERATED} ", " 0.9000 ", " 0.8500 to 0.9500 ", " - ", " - "]
    assert second.split("|")[1:-1] == [f" {POOLED} ", " 0.9500 ", " - ", " +0.0500 ", " 0.012 "]
    assert told.startswith("2 sites of the phantom with at most 40 training images each, 3 rounds of an epoch, fold 0,")
    assert "`python -m benchmarks.federation --data phantom --sites 2 --images 40 --rounds 3`" in told
    chosen = {**result, "options": {**result["options"], "ways": ["fedavg"]}, "seconds": 130.0}
    assert "--rounds 3 --ways fedavg`, in 2 minutes." in federation_part(chosen)
    counted = {**result, "training_images": {"a": {"Normal": 3, "Nodule": 4}, "b": {"Normal": 5, "Nodule": 1}}}
    assert "with training images (Normal, Nodule) 3 and 4; 5 and 1, 3 rounds" in federation_part(counted)


def test_the_page_has_a_column_for_each_site():
    own = {"auc": 0.9, "interval": None, "images": 30}
    ways = {
        FEDERATED: {**own, "sites": {"site_1": own}},
        ALONE: {
            **own,
            "difference": 0.01,
            "p_holm": 0.5,
            "sites": {"site_1": {**own, "difference": -0.02, "p_holm": 0.031}},
        },
    }
    result = {**new_result("federation", {"sites": 1, "images": 40, "rounds": 3, "quick": False}), "ways": ways}
    lines = [line for line in federation_part(result).splitlines() if "site 1" in line or "-0.02" in line]
    assert lines == ["| AUC at each site (minus FedAvg, p) | site 1 |", f"| {ALONE} | 0.9000 (-0.0200, 0.031) |"]


def test_an_update_is_filtered_as_it_leaves_a_site():
    answer = Answer({"title": "T"}, {"train_loss": 0.5}, {"w": np.array([0.5, 0.005, 0.006], np.float32)})
    filtered = filter_update(answer, make_filter("percentile"))
    assert filtered.metrics == answer.metrics
    assert filtered.weights is not None
    assert filtered.weights["w"][0] == pytest.approx(0.01)
