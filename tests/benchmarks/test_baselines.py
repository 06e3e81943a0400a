from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import baselines
from benchmarks.baselines import (
    BASELINE,
    Task,
    in_own_process,
    main,
    multiply_adds,
    scan_flops,
    table,
    time_one_step,
    want_of_memory,
)
from benchmarks.networks import Job
from medmamba_monai.core.memory import measure_available_memory
from medmamba_monai.networks import MedMamba
from medmamba_monai.networks.baselines import BASELINES
from medmamba_monai.networks.registry import build_network
from medmamba_monai.selective_scan.operator import directional_scan
from tests.helpers.warm_commands import warm_multiprocessing

# GFLOPS of torchvision's documentation, which are multiply-adds of one image of 224 pixels; MedViT's are those of its
# official code.
PUBLISHED = {
    "resnet18": 1.81,
    "resnet50": 4.09,
    "densenet121": 2.83,
    "vit_b16": 17.56,
    "swin_t": 4.49,
    "convnext_b": 15.36,
    "medvit_t": 5.86,
    "medvit_s": 8.36,
    "medvit_l": 10.86,
}
# 2 x 2 tokens, 3 channels, 2 states, rank 1: (1 + 4 * 2 + 2) for each of 4 tokens, 4 directions and 3 channels.
SCAN = {
    "u": (1, 4, 3),
    "projected": (1, 4, 4, 5),
    "dt_weight": (4, 3, 1),
    "dt_bias": (4, 3),
    "A": (4, 3, 2),
    "D": (4, 3),
}
BY_HAND = 11 * 4 * 4 * 3


def test_a_scan_counted_by_hand() -> None:
    assert scan_flops(*SCAN.values()) == 2 * BY_HAND == 1056


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_the_operator_is_counted_whatever_computes_it(backend: str) -> None:
    inputs = [-torch.rand(shape) for shape in SCAN.values()]
    forward = torch.ops.medmamba_monai.directional_scan_forward
    with FlopCounterMode(display=False, custom_mapping={forward: scan_flops}) as counter, torch.no_grad():
        directional_scan(*inputs, [2, 2], backend)
    assert counter.get_flop_counts()["Global"][forward] == 2 * BY_HAND


def test_a_network_counted_by_hand() -> None:
    with torch.device("meta"):
        network = MedMamba(2, 3, 6, depths=(1,), channels=(8,))
    tokens = 8 * 8  # of 4 x 4 pixels
    embedding = tokens * 8 * 3 * 4 * 4
    convolutions = tokens * (4 * 4 * 9 + 4 * 4 * 9 + 4 * 4) + tokens * 8 * 9
    projections = tokens * 3 * 4 * 8 + tokens * 8 * 4 * (1 + 16 + 16)
    scan = tokens * 4 * 8 * (1 + 4 * 16 + 2)
    expected = embedding + convolutions + projections + scan + 8 * 6
    assert multiply_adds(network, 32) == {"multiply_adds": expected, "of_scan": scan}


@pytest.mark.apart
@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_are_the_published_ones(name: str) -> None:
    if BASELINES[name].package is not None:
        pytest.importorskip(BASELINES[name].package)
    with torch.device("meta"):
        network = build_network(name, 2, 3, 1000, 224)
    found = multiply_adds(network, 224)
    assert (found["multiply_adds"] / 1e9, found["of_scan"]) == (pytest.approx(PUBLISHED[name], rel=0.005), 0)


def take_more_than_there_is(job: Job) -> float:
    return float(torch.empty(measure_available_memory() + 2**30, dtype=torch.uint8).numel())


@pytest.mark.apart
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit the memory of a process so")
def test_a_process_may_not_take_more_memory_than_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "multiprocessing", warm_multiprocessing())
    found = in_own_process(take_more_than_there_is, Job("resnet18"), threads=1)
    assert "does not fit in memory" in str(found)


def test_a_process_that_is_ended_is_taken_as_one_without_memory() -> None:
    with ProcessPoolExecutor(1) as pool:
        error = pool.submit(os._exit, 1).exception()
    assert "was ended" in str(want_of_memory(error))


@pytest.mark.parametrize(("error", "expected"), [(MemoryError("no"), True), (RuntimeError("memory format"), False)])
def test_other_errors_are_not_taken_for_want_of_memory(error: Exception, expected: bool) -> None:
    assert (want_of_memory(error) is not None) == expected


def test_one_step_is_timed() -> None:
    assert 0 < time_one_step(Job("resnet18", 64, 2, training=True)) < 60


def test_the_table_gives_speeds_and_their_ratio() -> None:
    times = [
        {"task": "training, batch 64", "name": "ResNet-18", "images_per_second": 123.4, "ratio": {"median": 0.5}},
        {"task": "training, batch 64", "name": BASELINE, "images_per_second": 61.7, "ratio": {"median": 1.0}},
        {"task": "inference, batch 1", "name": BASELINE, "images_per_second": 0.123, "ratio": {"median": 1.0}},
    ]
    sizes = [
        {"name": name, "parameters": count, "multiply_adds": 2_580_000_000, "of_scan": 0}
        for name, count in (("ResNet-18", 11_179_590), (BASELINE, 23_520_326), ("ViT-B/16", 85_800_000))
    ]
    left_out = [
        {"task": "training, batch 64", "name": "ViT-B/16", "reason": "it does not fit in memory"},
        {"task": "all", "name": "Swin-T", "reason": "too small"},
    ]
    result: dict[str, Any] = {"times": times, "sizes": sizes, "left_out": left_out}
    result |= {"options": {"image_size": 224}, "machine": {"threads": 2}}
    lines = table(result).splitlines()
    assert lines[0].startswith("| 224 pixels, 2 threads | parameters | multiply-adds | inference, batch 1 |")
    assert lines[2:5] == [
        "| ResNet-18 | 11.2 M | 2.58 G |  |  |  | 123 (2.00) |",
        "| ResNet-50 | 23.5 M | 2.58 G | 0.12 |  |  | 61.7 |",
        "| ViT-B/16 | 85.8 M | 2.58 G |  |  |  | does not fit |",
    ]
    assert "Left out: Swin-T." in lines[-1]


@pytest.fixture
def small_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Arguments of a run of small batches that needs no other process; ResNet-50 finds no memory for the last task."""
    monkeypatch.setattr(baselines, "TOGETHER", tuple(task._replace(batch=1, rounds=1) for task in baselines.TOGETHER))
    monkeypatch.setattr(baselines, "ALONE", Task("training, batch 64", 2, True, 1))
    monkeypatch.setattr(
        baselines,
        "in_own_process",
        lambda measure, job, threads: "no memory" if job.network == "resnet50" else measure(job),
    )
    return ["--image-size", "64", "--threads", "1", "--json", str(tmp_path / "baselines.json"), "--networks"]


@pytest.mark.apart
def test_a_run_measures_what_it_can(small_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*small_run, "resnet18", "resnet50", "swin_t"]) == 0
    result = json.loads(Path(small_run[5]).read_text())
    assert [(entry["task"], entry["name"]) for entry in result["times"]] == [
        *((task.title, name) for task in baselines.TOGETHER for name in ("ResNet-18", "ResNet-50")),
        ("training, batch 64", "ResNet-18"),
    ]
    assert [(entry["task"], entry["name"]) for entry in result["left_out"]] == [
        ("all", "Swin-T"),
        ("training, batch 64", "ResNet-50"),
    ]
    batches = [entry["images_per_second"] * entry["median"] for entry in result["times"]]
    assert batches == pytest.approx([1] * 6 + [2])
    assert table(result) in capsys.readouterr().out


def test_an_interrupt_writes_what_is_there(small_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(baselines, "TOGETHER", ())
    monkeypatch.setattr(baselines, "in_own_process", interrupt)
    assert main([*small_run, "resnet18"]) == 0
    result = json.loads(Path(small_run[5]).read_text())
    assert (result["interrupted"], result["times"], len(result["sizes"])) == (True, [], 1)


def test_images_on_which_batch_norm_cannot_train_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image-size", "32"]) == 2
    assert "64 or more" in capsys.readouterr().err


def test_no_network_left_is_refused(small_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*small_run, "swin_t"]) == 2
    assert "none of swin_t" in capsys.readouterr().err


def test_an_unknown_network_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--networks", "alexnet"])
    assert ended.value.code == 2
    assert "convnext_b" in capsys.readouterr().err
