from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.model import BASELINE, FORWARD_1, LOOP, OWN, RECORDING_1, TRAINING_8
from benchmarks.pages.__main__ import BLOCKS, PAGES, load_results, main, render
from benchmarks.report import RESULTS
from benchmarks.timing import Times, time_entries
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.marked_text import find_block
from tests.helpers.machine import MACHINE

EMPTY = "<!-- speed -->\n<!-- /speed -->"


def model_result(**changes: Any) -> dict[str, Any]:
    times = time_entries(Times({OWN: [0.05], BASELINE: [0.04]}), FORWARD_1, BASELINE)
    times += time_entries(Times({OWN: [0.8], BASELINE: [1.0]}), TRAINING_8, BASELINE)
    peaks = [{"task": TRAINING_8, "name": OWN, "bytes": 8e8}]
    options = {"image_size": 224, "quick": False}
    return {"machine": MACHINE, "options": options, "times": times, "memory": peaks, "interrupted": False} | changes


def write(folder: Path, result: dict[str, Any]) -> None:
    (folder / "model.json").write_text(json.dumps(result))


def speed(**results: dict[str, Any]) -> str:
    return render(results)["speed"]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_documents_hold_what_the_results_say(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    block, rendered = find_block(page, name), render(load_results(RESULTS))
    if name in rendered:
        assert block == rendered[name], "run `python -m benchmarks.pages`"
    else:
        assert not block, f"{name}.md has figures between its markers, but there is no result of them"


def test_the_table_has_medians_ratios_and_memory() -> None:
    block = speed(model=model_result())
    assert "| MedMamba-T | 50.0 ms (1.25) |  | 800 ms (0.80) | 800 MB |" in block
    assert "| ResNet-50 | 40.0 ms |  | 1000 ms |  |" in block
    assert "Measured on 2026-01-02 on a CPU, commit 0123456789, torch 2.13.0." in block


def test_the_loop_is_compared_in_both_modes() -> None:
    times = time_entries(Times({OWN: [1.0, 2.0], LOOP: [10.0]}), FORWARD_1, BASELINE)
    times += time_entries(Times({OWN: [1.0], LOOP: [20.0]}), RECORDING_1, BASELINE)
    block = speed(model=model_result(times=times))
    assert "takes 10.0 times as long in inference mode, and 20.0 times where gradients are recorded." in block


def test_the_worst_error_of_the_scan_is_told() -> None:
    entries = [
        {"backend": "numba", "length": 49, "met": True, "errors": {"y": 1e-7, "u": 4e-7}},
        {"backend": "numba", "length": 196, "met": False, "errors": {"y": 2e-7, "u": 3e-7}},
        {"backend": "numba", "length": 12544, "met": None, "errors": {"y": 1.0, "u": 1.0}},
    ]
    times = [
        {"task": "forward B 8, first", "of_limit": 0.5},
        {"task": "forward+backward B 8, first", "of_limit": 0.25},
        {"task": "forward B 8, second", "of_limit": 0.75},
        {"task": "forward B 8, second", "of_limit": None},
    ]
    block = speed(scan={"accuracy": entries, "times": times})
    assert "up to 12,544 tokens: `numba` 2.0e-07 in the output and 4.0e-07 in a gradient." in block
    assert "first stage: forward 50 %, forward+backward 25 %." in block


def test_the_exponent_of_the_largest_sizes_is_told() -> None:
    times = [
        {"name": OWN, "task": "training step", "threads": 2, "image_size": size, "median": size**2.0}
        for size in (224, 448, 896)
    ]
    block = speed(growth={"options": {"threads": [1, 2], "sizes": [224, 448, 896]}, "times": times})
    assert "../images/growth.svg" in block
    assert "between 448 and 896 pixels (1 is linear): MedMamba-T 1.00." in block


def test_the_speed_of_loading_stands_beside_that_of_training() -> None:
    task, found = "PNG, 224 pixels, 0 workers", {"no cache": (300.0, 37.51), "training, MedMamba-T": (8.0, None)}
    times = [
        {"task": task, "name": name, "images_per_second": speed, "of_training": ratio}
        for name, (speed, ratio) in found.items()
    ]
    peaks = [{"task": "PNG", "name": name, "bytes": 2**20, "images": 4} for name in ("no cache", "memory, uint8")]
    block = speed(loading={"machine": MACHINE, "times": times, "memory": peaks})
    assert f"| images per second | {task} |" in block
    assert "| no cache | 300 (37.5) |" in block
    assert "| training | 8 |" in block
    assert "for each image: memory, uint8 256 KiB (PNG); what" in block


def test_images_per_second_of_a_gpu_are_a_table() -> None:
    found = [{"name": "MedMamba-T, triton", "task": "training, batch 64, float32", "images_per_second": 1234.5}]
    machine = MACHINE | {"gpu": "a GPU"}
    block = speed(gpu={"machine": machine, "parts": {"networks: x": {"found": found}}})
    assert "| training, batch 64, float32 | 1,234 |" in block
    assert "on a GPU" in block


def test_the_baselines_stand_behind_the_model() -> None:
    times = [{"task": "inference, batch 1", "name": BASELINE, "images_per_second": 12.3, "ratio": {"median": 1.0}}]
    size = {"name": BASELINE, "parameters": 23_520_326, "multiply_adds": 4_100_000_000, "of_scan": 0}
    result = {"machine": MACHINE, "options": {"image_size": 224}, "times": times, "sizes": [size], "left_out": []}
    first, second = speed(baselines=result, model=model_result()).split("\n\n| 224 pixels, 2 threads | parameters |")
    assert first.startswith("| 224 pixels, 2 threads | forward, batch 1 |")
    assert "| ResNet-50 | 23.5 M | 4.10 G | 12.3 |" in second
    assert second.endswith("commit 0123456789, torch 2.13.0.")


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    write(tmp_path, model_result())
    page = tmp_path / "speed.md"
    page.write_text(f"# Title\n{EMPTY}\n")
    assert main(["--results", str(tmp_path), "--pages", str(tmp_path)]) == 0
    assert find_block(page.read_text(), "speed") == render(load_results(tmp_path))["speed"]


def test_a_page_without_markers_is_an_error(tmp_path: Path, capsys) -> None:
    write(tmp_path, model_result())
    (tmp_path / "speed.md").write_text("# Title\n")
    assert main(["--results", str(tmp_path), "--pages", str(tmp_path)]) == 2
    assert "speed.md has no lines <!-- speed -->" in capsys.readouterr().err


def test_only_blocks_with_a_result_are_rendered() -> None:
    assert list(render({"model": model_result()})) == ["speed"]


def test_results_must_be_there(tmp_path: Path, capsys) -> None:
    assert main(["--results", str(tmp_path), "--print"]) == 2
    assert "there is no result" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"interrupted": True}, {"options": {"image_size": 224, "quick": True}}])
def test_unfinished_results_are_not_shown(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, model_result(**change))
    with pytest.raises(UserError, match="measure it again"):
        load_results(tmp_path)
