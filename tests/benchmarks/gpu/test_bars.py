"""Every goal for a GPU finds the row that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gpu.bars import GOALS, OTHER, OWN, Goal, find_entry, gpu_bars, job_of, part_of
from benchmarks.pages.speed import goals_table, networks_table
from benchmarks.report import RESULTS, load_result


class Asked(dict[str, Any]):
    """Parts that remember which of them were asked for."""

    def __init__(self, parts: dict[str, Any]) -> None:
        super().__init__(parts)
        self.names: set[object] = set()

    def __contains__(self, name: object) -> bool:
        self.names.add(name)
        return super().__contains__(name)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """The parts of the committed result."""
    return dict(load_result(RESULTS / "gpu.json")["parts"])


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.text)
def test_a_goal_has_a_figure_where_its_parts_were_measured(goal: Goal, measured: dict[str, Any]) -> None:
    parts = Asked(measured)
    figure = goal.figure(parts)
    assert parts.names, "the goal looks at no part"
    assert (figure is not None) == all(name in measured for name in parts.names)


def test_the_bars_for_bfloat16_match_the_rows_of_the_committed_result(measured: dict[str, Any]) -> None:
    figures = {bar.text: bar.figure for bar in gpu_bars(measured)}
    own, other = (find_entry(measured, job_of(name, training=True, bfloat16=True)) for name in (OWN, OTHER))
    assert figures["training step, bfloat16, mamba_ssm's kernel over it"] == other["median"] / own["median"] > 1
    assert figures["training step, bfloat16"] == pytest.approx(1000 * own["median"])


def test_bars_compare_with_mamba_ssm() -> None:
    def rows(training: bool) -> dict[str, Any]:
        jobs = [(job_of(OWN, training, False), 1.0, 40), (job_of(OTHER, training, False), 2.5, 100)]
        found = [{"name": job.title, "median": seconds, "peak_bytes": size} for job, seconds, size in jobs]
        return {part_of(jobs[0][0]): {"found": found}}

    parts = rows(True) | rows(False)
    parts["bfloat16"] = {"found": {"not_finite": 0, "parameters_finite": True, "steps": 200}}
    bars = {bar.text: bar for bar in gpu_bars(parts)}
    training, inference, memory, finite, unknown = (
        bars[text]
        for text in (
            "training step, float32, mamba_ssm's kernel over it",
            "inference, float32, mamba_ssm's kernel over it",
            "peak memory of training, float32, over that with mamba_ssm's kernel",
            "200 steps of bfloat16 training, losses that are not finite",
            "inference, bfloat16",
        )
    )
    assert [bar.figure for bar in (training, inference, memory)] == [2.5, 2.5, 0.4]
    assert [bar.met for bar in (training, inference, memory, finite, unknown)] == [False, False, True, True, None]


def test_a_failed_row_is_not_measured() -> None:
    job = job_of(OWN, True, True)
    parts = {part_of(job): {"found": [{"name": job.title, "failed": "out of memory"}]}}
    assert {bar.met for bar in gpu_bars(parts)} == {None}


def test_every_row_of_the_table_has_a_figure_or_says_that_there_is_none(measured: dict[str, Any]) -> None:
    _, _, *rows = goals_table(measured).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [goal.text for goal in GOALS]
    assert all(row[2] == "not measured" or row[2][0].isdigit() for row in cells)
    assert {row[2] for row in (line.split(" | ") for line in goals_table({}).splitlines()[2:])} == {"not measured"}


def test_compiled_networks_stand_in_the_columns_of_their_kind() -> None:
    job = job_of(OWN, True, True, compiled=True)
    parts = {part_of(job): {"found": [{"name": job.title, "task": job.task, "images_per_second": 2000.4}]}}
    title, _, row = networks_table(parts).splitlines()
    assert title.startswith("| images per second | MedMamba-T, triton |")
    assert row == "| training, batch 64, bfloat16, compiled | 2,000 |"
