from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import memory, model
from benchmarks.model import BASELINE, FORWARD_1, LOOP, OWN, RECORDING_1, SWIN, TRAINING_8, bars_of, jobs_of, main
from benchmarks.timing import Times


def test_the_loop_runs_at_batch_1_and_folded_norms_in_inference_only() -> None:
    names = ["medmamba", "medmamba-loop", "medmamba-folded", "resnet50"]
    assert [job.title for job in jobs_of(names, 224, 1, False)] == [OWN, LOOP, "MedMamba-T, folded", BASELINE]
    training = [job.title for job in jobs_of(names, 224, 8, True)]
    assert training == [OWN, f"{OWN}, bfloat16", BASELINE, f"{BASELINE}, bfloat16"]


def test_bars_take_their_figures_from_the_same_round() -> None:
    times = {
        FORWARD_1: Times({OWN: [1.0, 3.0], LOOP: [40.0], BASELINE: [1.0, 2.0]}),
        RECORDING_1: Times({OWN: [1.0], LOOP: [50.0]}),
        TRAINING_8: Times({OWN: [3.0], BASELINE: [4.0], SWIN: [6.0]}),
    }
    peaks = [{"task": TRAINING_8, "name": name, "bytes": size} for name, size in ((OWN, 90), (BASELINE, 100))]
    bars = bars_of(times, peaks, as_promised=True)
    assert [bar.figure for bar in bars] == [40.0, 50.0, 1.25, 0.75, 0.75, 0.5, 0.9]
    assert [bar.met for bar in bars] == [True, True, False, True, True, True, True]


def test_bars_without_figures_are_not_measured() -> None:
    assert {bar.met for bar in bars_of({}, [], as_promised=True)} == {None}


@pytest.fixture
def small_run(monkeypatch, tmp_path: Path):
    """Arguments of a run that needs no other process."""
    peaks = iter(range(1_000_000, 9_000_000, 1_000_000))
    monkeypatch.setattr(memory, "peak_memory", lambda build, prepare, threads: next(peaks))
    options = ["--rounds", "1", "--image-size", "32", "--threads", "1", "--json", str(tmp_path / "model.json")]
    return ["--networks", "medmamba", "resnet50", "swin", *options]


@pytest.mark.apart
@pytest.mark.slow
def test_a_run_measures_all_tasks(small_run, capsys) -> None:
    assert main(small_run) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    assert {entry["task"] for entry in result["times"]} == set(model.TASKS)
    assert [entry["bytes"] for entry in result["memory"]] == [1_000_000, 2_000_000, 3_000_000, 4_000_000]
    assert not any(bar["measured_as_promised"] for bar in result["bars"])
    printed = capsys.readouterr().out
    assert "Swin-T is left out" in printed
    assert "0.500" in printed


def test_an_interrupt_writes_what_is_there(small_run, monkeypatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "measure_memory", interrupt)
    monkeypatch.setattr(model, "build_step", lambda job: lambda: None)
    assert main(small_run) == 0
    result = json.loads(Path(small_run[-1]).read_text())
    assert (result["interrupted"], result["memory"]) == (True, [])


def test_an_unknown_network_is_refused(capsys) -> None:
    assert main(["--networks", "alexnet", "--threads", "1"]) == 2
    assert "'alexnet' does not exist" in capsys.readouterr().err
