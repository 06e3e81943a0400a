from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import accuracy, scan
from benchmarks.accuracy import Shape
from benchmarks.scan import main, stage_shapes, time_shape
from medmamba_monai import medmamba_tiny

TINY = Shape(1, (2, 3), 4, state_size=2, rank=1)


@pytest.fixture
def tiny_run(monkeypatch, tmp_path: Path):
    """Arguments of a run at one tiny shape and length."""
    monkeypatch.setattr(scan, "_timed_shapes", lambda options: [TINY])
    monkeypatch.setattr(accuracy, "SHAPES", ((2, 3),))
    return ["--backends", "torch", "--rounds", "2", "--threads", "1", "--json", str(tmp_path / "scan.json")]


def test_a_run_measures_time_and_accuracy(tiny_run, capsys) -> None:
    assert main(tiny_run) == 0
    result = json.loads(Path(tiny_run[-1]).read_text())
    assert [entry["task"].split()[0] for entry in result["times"]] == ["forward", "forward+backward"]
    assert result["times"][0]["updates"] == TINY.updates
    assert [entry["case"] for entry in result["accuracy"]] == list(accuracy.CASES)
    assert "Relative error against float64" in capsys.readouterr().out


def test_a_missed_bar_is_the_exit_code(tiny_run, monkeypatch) -> None:
    monkeypatch.setattr(accuracy, "OUTPUT_BAR", 0.0)
    assert main(tiny_run) == 1


def test_an_interrupt_writes_what_is_there(tiny_run, monkeypatch, capsys) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scan, "measure_accuracy", interrupt)
    assert main(tiny_run) == 0
    result = json.loads(Path(tiny_run[-1]).read_text())
    assert result["interrupted"]
    assert len(result["times"]) == 2
    assert "stopped" in capsys.readouterr().out


def test_shapes_are_those_of_the_network() -> None:
    shapes = stage_shapes(medmamba_tiny(num_classes=2), image_size=224, batch=3)
    assert [(shape.length, shape.channels, shape.rank) for shape in shapes] == [
        (3136, 96, 3),
        (784, 192, 6),
        (196, 384, 12),
        (49, 768, 24),
    ]


def test_slow_backends_are_left_out_at_long_sequences(monkeypatch, capsys) -> None:
    monkeypatch.setattr(scan, "LONGEST_LOOP", 5)
    result: dict = {"times": []}
    time_shape(result, ["reference", "torch"], TINY, training=False, rounds=1)
    assert [entry["name"] for entry in result["times"]] == ["torch"]


def test_the_table_takes_another_column(tiny_run, monkeypatch, capsys) -> None:
    monkeypatch.setitem(scan.COLUMNS, "of the limit", lambda entry: "45 %")
    main(tiny_run)
    assert "45 %" in capsys.readouterr().out


def test_an_unknown_backend_is_refused(tiny_run, capsys) -> None:
    assert main(["--backends", "magic", *tiny_run[2:]]) == 2
    assert "'magic' does not exist" in capsys.readouterr().err
