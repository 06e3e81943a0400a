"""What is written of the pointing game, from made counts; maps of a run that are drawn and counted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pages.pointing import pointing_part
from benchmarks.pointing import judge
from medmamba_monai.core.run_folder import RunFolder
from tests.helpers.machine import MACHINE


def made(seed: int, hits: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "images": 50,
        "chance": 0.05,
        "recognized": 48,
        "hits": {"edges": 5, "grad_cam": hits},
        "hits_of_recognized": {"edges": 4, "grad_cam": hits},
    }


def test_each_network_has_a_column_and_the_method_with_most_hits_comes_first() -> None:
    text = pointing_part({"machine": MACHINE, "networks": [made(0, 44), made(1, 46)]})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:5]]
    assert rows[0] == ["", "seed 0", "seed 1", "of all", "of recognized"]
    assert rows[2] == ["recognized", "48", "48", "96.0 %", ""]
    assert rows[3] == ["Grad-CAM", "44 (38 to 47)", "46 (41 to 48)", "90.0 %", "93.8 %"]
    assert rows[4] == ["Edges (floor)", "5 (2 to 11)", "5 (2 to 11)", "10.0 %", "8.3 %"]
    assert "Of 50 test images with a nodule" in text
    assert "5.0 % of an image" in text


@pytest.mark.apart
def test_maps_of_a_run_are_counted_beside_the_floors_and_kept(cross_validated: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "output")
    shutil.copytree(cross_validated / "output", run.path, ignore=shutil.ignore_patterns("checkpoints", "figures"))
    found = judge(run, 3, ["grad_cam"])
    assert found["seed"] == 3
    assert set(found["hits"]) == {"grad_cam", "random", "edges"}
    assert found["images"] == len(list((run.explanations / "maps" / "grad_cam").iterdir()))
    for name, hits in found["hits"].items():
        assert hits == pytest.approx(found["images"] * found["standings"][name]["mean"])
    kept = {path: path.stat().st_mtime_ns for path in (run.explanations / "maps").rglob("*.npy")}
    assert judge(run, 3, ["grad_cam"]) == found
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
