from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import growth, memory
from benchmarks.growth import main
from benchmarks.growth_figure import draw_growth
from benchmarks.growth_tables import exponent, exponent_table, growth_table, largest_two, series


def made_result(sizes: tuple[int, ...] = (112, 224, 448)) -> dict[str, Any]:
    """A network that is linear in the number of pixels and one that is quadratic."""
    times, peaks = [], []
    for name, power in (("MedMamba-T", 1), ("ViT-S/16", 2)):
        for task in growth.TASKS:
            for size in sizes:
                value = (size / 112) ** (2 * power)
                place = {"name": name, "task": task, "image_size": size, "threads": 2}
                times.append(place | {"median": 0.01 * value})
                peaks.append(place | {"bytes": 50e6 * value})
    return {"options": {"threads": [1, 2]}, "times": times, "memory": peaks}


def test_the_exponent_is_that_of_the_number_of_pixels() -> None:
    lines = series(made_result()["times"], "median")
    assert exponent(lines["MedMamba-T", "inference", 2]) == pytest.approx(1)
    assert exponent(lines["ViT-S/16", "inference", 2]) == pytest.approx(2)


def test_one_size_has_no_exponent() -> None:
    assert exponent({112: 1.0}) is None
    assert "-" in exponent_table(made_result((112,)))


def test_the_largest_sizes_leave_constant_cost_out() -> None:
    assert largest_two({112: 5.0, 896: 80.0, 448: 20.0}) == {448: 20.0, 896: 80.0}


def test_tables_have_a_column_for_each_size() -> None:
    table = growth_table(made_result())
    assert "112 px" in table
    assert "160 ms" in table
    assert "800 MB" in table


def test_a_size_that_is_missing_is_a_dash() -> None:
    result = made_result()
    result["memory"].pop()
    assert "-" in growth_table(result).splitlines()[-1].split()


def test_the_figure_has_a_line_for_each_network_and_task() -> None:
    figure = draw_growth(made_result())
    figure.draw_without_rendering()
    assert [len(axes.lines) for axes in figure.axes] == [4, 4]
    assert {axes.get_xscale() for axes in figure.axes} | {axes.get_yscale() for axes in figure.axes} == {"log"}


def test_all_text_is_inside_the_figure() -> None:
    result = made_result((112, 224, 448, 896))
    for name in ("MedMamba-T, checkpointed", "ResNet-50"):
        result["times"] += [{**entry, "name": name} for entry in result["times"] if entry["name"] == "ViT-S/16"]
    figure = draw_growth(result)
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -0.05


def test_a_figure_is_drawn_from_a_result(tmp_path: Path) -> None:
    (tmp_path / "growth.json").write_text(json.dumps(made_result()))
    assert main(["--draw", str(tmp_path / "growth.json"), "--figure", str(tmp_path / "picture")]) == 0
    assert {path.suffix for path in tmp_path.glob("picture.*")} == {".svg", ".png"}


@pytest.mark.apart
def test_a_run_measures_every_size_and_task(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "peak_memory", lambda build, prepare, threads: 1_000_000)
    options = ["--networks", "resnet50", "--sizes", "64", "96", "--threads", "1", "--quick"]
    assert main([*options, "--json", str(tmp_path / "growth.json")]) == 0
    result = json.loads((tmp_path / "growth.json").read_text())
    assert {(entry["task"], entry["image_size"]) for entry in result["times"]} == {
        (task, size) for task in growth.TASKS for size in (64, 96)
    }
    assert len(result["memory"]) == 4


def test_the_slowest_are_sampled_twice_and_the_trial_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(growth, "build_step", lambda job: lambda: calls.append(job.title))
    job = growth.Job("resnet50", 64, 1, training=False)
    monkeypatch.setattr(growth, "SLOW_ROUND", -1.0)
    (entry,) = growth.time_size([job], "inference", 1, rounds=15)
    assert len(entry["seconds"]) == 2
    monkeypatch.setattr(growth, "SLOW_ROUND", 1e9)
    (entry,) = growth.time_size([job], "inference", 1, rounds=5)
    assert len(entry["seconds"]) == 5


@pytest.mark.apart
def test_sizes_of_an_earlier_run_are_kept_and_those_of_another_machine_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "peak_memory", lambda build, prepare, threads: 1_000_000)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    options = ["--networks", "resnet50", "--sizes", "64", "96", "--threads", "1", "--quick"]
    assert main([*options, "--json", str(first)]) == 0
    result = json.loads(first.read_text())
    for key in ("times", "memory"):
        result[key] = [entry for entry in result[key] if entry["image_size"] == 96]
    first.write_text(json.dumps(result))
    assert main([*options, "--json", str(second), "--keep", str(first)]) == 0
    found = json.loads(second.read_text())
    assert [entry for entry in found["times"] if entry["image_size"] == 96] == result["times"]
    assert {entry["image_size"] for entry in found["times"]} == {64, 96}
    result["machine"]["cores"] += 1
    first.write_text(json.dumps(result))
    assert main([*options, "--keep", str(first)]) == 2
    assert "was measured with cores" in capsys.readouterr().err
