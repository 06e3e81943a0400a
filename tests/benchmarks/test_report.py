from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import (
    Bar,
    bar_table,
    load_result,
    markdown_table,
    measured_on,
    milliseconds,
    save_result,
    text_table,
    time_table,
)
from benchmarks.timing import Times, time_entries
from medmamba_monai.core.errors import UserError


def test_columns_are_aligned() -> None:
    lines = text_table(["name", "x"], [["a", "10"], ["longer", "9"]]).splitlines()
    assert lines == ["name     x", "----------", "a       10", "longer   9"]


def test_figures_are_aligned_to_the_right_in_markdown() -> None:
    lines = markdown_table(["name", "x", "y"], [["a", "10", ""]]).splitlines()
    assert lines == ["| name | x | y |", "| --- | ---: | ---: |", "| a | 10 |  |"]


def test_a_result_says_what_it_was_measured_on() -> None:
    machine = {"date": "2026-01-02T03:04:05+00:00", "cpu": "a CPU", "revision": "0123456789abcdef", "dirty": False}
    machine["packages"] = {"torch": "2.13.0"}
    assert measured_on({"machine": machine}) == "Measured on 2026-01-02 on a CPU, commit 0123456789, torch 2.13.0."
    changed = measured_on({"machine": machine | {"gpu": "a GPU", "dirty": True}})
    assert "on a GPU, commit 0123456789 with changes," in changed
    assert "commit unknown, " in measured_on({"machine": machine | {"revision": None, "dirty": None}})


def test_times_stand_beside_their_ratio() -> None:
    table = time_table(time_entries(Times({"a": [0.002, 0.002], "base": [0.001, 0.004]}), "forward", "base"))
    assert "x base (quartiles)" in table
    assert "2.00 ms  2.00 ms   0.0 %     2  1.250 (0.875 to 1.625)" in table


def test_each_task_has_its_own_table() -> None:
    entries = time_entries(Times({"a": [1.0]}), "one", "a") + time_entries(Times({"a": [1.0]}), "two", "a")
    assert len(time_table(entries).split("\n\n")) == 2


@pytest.mark.parametrize(
    ("figure", "at_least", "met"),
    [(35.0, True, True), (34.9, True, False), (35.0, False, True), (35.1, False, False), (None, True, None)],
)
def test_a_bar_is_met_at_its_limit(figure: float | None, at_least: bool, met: bool | None) -> None:
    assert Bar("text", figure, 35, at_least).met is met


def test_nan_meets_no_bar_and_can_be_written() -> None:
    entry = Bar("text", float("nan"), 1).entry()
    assert entry["met"] is False
    assert json.loads(json.dumps(entry, allow_nan=False))["figure"] == "nan"
    assert "NOT MET" in bar_table([entry])


def test_bars_say_when_the_settings_were_others() -> None:
    table = bar_table([Bar("a", 1, 2, measured_as_promised=False).entry(), Bar("b", None, 2).entry()])
    assert "met (other settings)" in table
    assert "not measured" in table


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    result = {"times": time_entries(Times({"a": [0.1, 0.2]}), "task", "a"), "interrupted": False}
    save_result(result, tmp_path / "folder" / "result.json")
    assert load_result(tmp_path / "folder" / "result.json") == result


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result\.json is no result of a benchmark"):
        load_result(tmp_path / "result.json")


def test_small_times_keep_three_digits() -> None:
    assert [milliseconds(s) for s in (0.0001234, 0.00123, 0.0123, 1.2)] == ["0.123 ms", "1.23 ms", "12.3 ms", "1200 ms"]
