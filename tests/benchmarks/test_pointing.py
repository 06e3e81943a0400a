"""What is written of the pointing game, from made counts; maps that are counted, from an untrained network."""

from __future__ import annotations

from benchmarks.pages.pointing import pointing_part
from tests.helpers.machine import MACHINE


def made(seed: int, hits: int) -> dict:
    return {
        "seed": seed,
        "images": 50,
        "chance": 0.05,
        "recognized": 48,
        "hits": {"edges": 5, "grad_cam": hits},
        "hits_of_recognized": {"edges": 4, "grad_cam": hits},
        "standings": {"edges": {"interval": "no interval"}, "grad_cam": {"interval": [0.8, 0.961]}},
    }


def test_each_network_has_a_column_and_the_method_with_most_hits_comes_first() -> None:
    text = pointing_part({"machine": MACHINE, "networks": [made(0, 44), made(1, 46)]})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:5]]
    assert rows[0] == ["", "seed 0", "seed 1", "mean of all", "mean of recognized"]
    assert rows[2] == ["recognized", "48", "48", "96.0 %", ""]
    assert rows[3] == ["Grad-CAM", "44 (40 to 48)", "46 (40 to 48)", "90.0 %", "93.8 %"]
    assert rows[4] == ["Edges (floor)", "5 (no interval)", "5 (no interval)", "10.0 %", "8.3 %"]
    assert "Of 50 test images with a nodule" in text
    assert "5.0 % of an image" in text
