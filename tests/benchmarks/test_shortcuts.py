from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.shortcuts import audit_set, main, make_card


@pytest.mark.parametrize("seed", [0, 7])
def test_sets_without_a_shortcut_stay_quiet(seed: int) -> None:
    found = audit_set(seed)
    assert found.warnings == ()
    assert found.findings


def test_cards_fit_their_tasks() -> None:
    assert [make_card(task).num_classes for task in ("binary", "multi-class", "multi-label")] == [2, 4, 3]


def test_the_result_counts_sets(tmp_path: Path) -> None:
    assert main(["--quick", "--json", str(tmp_path / "result.json")]) == 0
    found = json.loads((tmp_path / "result.json").read_text())["sets"]
    assert [(row["share"], row["warned"], row["of"]) for row in found] == [(0, 0, 1), (0.9, 1, 1)]
