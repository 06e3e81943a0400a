from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import explain
from benchmarks.explain import FORWARD, LIMIT, MAP, SPLIT, explain_part
from benchmarks.report import RESULTS
from benchmarks.timing import Times, time_entries
from tests.helpers.machine import MACHINE


@pytest.mark.apart
def test_a_quick_run_times_all_three(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    assert (
        explain.main(["--quick", "--rounds", "1", "--threads", str(threads), "--json", str(tmp_path / "a.json")]) == 0
    )
    result = json.loads((tmp_path / "a.json").read_text())
    assert [entry["name"] for entry in result["times"]] == [FORWARD, MAP, SPLIT]
    assert [bar["measured_as_promised"] for bar in result["bars"]] == [False, False]


def test_the_table_has_ratios() -> None:
    times = Times({FORWARD: [0.05, 0.05], MAP: [0.1, 0.15], SPLIT: [0.2, 0.2]})
    result = {"machine": MACHINE, "options": {"image_size": 224}, "times": time_entries(times, "task", FORWARD)}
    rows = explain_part(result).splitlines()[2:4]
    assert rows == [f"| {MAP} | 2.50 (2.25 to 2.75) |", f"| {SPLIT} | 4.00 (4.00 to 4.00) |"]


def test_what_was_measured_keeps_to_the_limit() -> None:
    result = json.loads((RESULTS / "explain.json").read_text())
    assert not result["interrupted"]
    assert not result["options"]["quick"]
    assert [bar["figure"] for bar in result["bars"]] == pytest.approx(
        [entry["ratio"]["median"] for entry in result["times"][1:]]
    )
    assert all(bar["met"] and bar["limit"] == LIMIT and bar["measured_as_promised"] for bar in result["bars"])
