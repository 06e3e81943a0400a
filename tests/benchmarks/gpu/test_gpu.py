"""The parts for a GPU, executed on the CPU at tiny sizes; what only CUDA can do is not."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from benchmarks import accuracy
from benchmarks.accuracy import Shape
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import catalogue, scans
from benchmarks.gpu import kernels as gpu_launches
from benchmarks.gpu import parts as gpu_parts
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.ceilings import Ceilings, measure_ceilings, scan_limit
from benchmarks.gpu.networks import measure_networks, train_in_bfloat16
from benchmarks.networks import Job
from benchmarks.scan_work import scan_bytes, scan_exponentials
from medmamba_monai import MedMamba
from medmamba_monai.core.errors import UserError

SMALL = Shape(2, (3, 4), 5, state_size=6, rank=1)


def options(folder: Path, *arguments: str) -> Any:
    small = ["--device", "cpu", "--image-size", "32", "--batches", "2", "--rounds", "1", "--networks", "resnet50"]
    return gpu._options(["--output", str(folder), *small, *arguments])


def test_without_cuda_it_ends_with_one_sentence(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "missing_packages", list)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: benchmarks.gpu needs a CUDA device")
    assert list(tmp_path.iterdir()) == []


def test_all_missing_packages_are_named_at_once(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("monai", "triton") else name)
    assert gpu.main(["--output", str(tmp_path)]) == 2
    assert "not installed: monai, triton." in capsys.readouterr().err


def test_ceilings_are_measured() -> None:
    ceilings = measure_ceilings("cpu", scale=1e-4, rounds=1)
    assert min(ceilings[:3]) > 0
    assert ceilings.exponentials_by == "torch"


def test_bytes_and_exponentials_are_counted() -> None:
    maps, projected, parameters = 2 * 12 * 5, 2 * 12 * 4 * 13, 4 * 5 * 9
    assert scan_bytes(SMALL, training=False) == 4 * (2 * maps + projected + parameters)
    assert scan_bytes(SMALL, training=True) == 4 * (5 * maps + 3 * projected + 3 * parameters)
    assert scan_exponentials(SMALL, training=False) == 2 * 12 * 5 * 4 * (6 + 1)


def test_the_limit_is_the_slower_of_the_two() -> None:
    fast_memory, slow_memory = Ceilings(1e30, 1, 100, "torch"), Ceilings(1, 1, 1e30, "torch")
    assert scan_limit(SMALL, False, fast_memory) == scan_exponentials(SMALL, False) / 100
    assert scan_limit(SMALL, False, slow_memory) == scan_bytes(SMALL, False)


@pytest.mark.apart
def test_scans_are_held_against_the_limit(capsys) -> None:
    found = scans.time_scans("cpu", 32, 1, 1, Ceilings(1e12, 1, 1e12, "torch"))
    assert all(entry["of_limit"] > 0 for entry in found)
    assert "of the limit" in capsys.readouterr().out


@pytest.mark.apart
def test_accuracy_leaves_the_loop_out() -> None:
    found = scans.measure_accuracy("cpu", shapes=((1, 1),))
    assert "reference" not in {entry["backend"] for entry in found["errors"]}
    assert len(found["special_values"]) >= 6


@pytest.mark.apart
def test_a_network_that_fails_leaves_the_others() -> None:
    jobs = [Job("resnet50", 32, 2), Job("medmamba:mamba_ssm", 32, 2)]
    failed, measured = measure_networks(jobs, 1)
    assert "works on cuda tensors" in failed["failed"]
    assert measured["images_per_second"] == pytest.approx(2 / measured["median"])


def test_a_part_in_which_no_network_runs_is_not_finished() -> None:
    with pytest.raises(RuntimeError, match="no network ran"):
        measure_networks([Job("medmamba:mamba_ssm", 32)], 1)


@pytest.mark.apart
def test_training_in_bfloat16_is_watched() -> None:
    def build() -> torch.nn.Module:
        return MedMamba(2, 3, 6, depths=(1,), channels=(8,), state_size=2, scan_backend="torch")

    found = train_in_bfloat16("", 16, batch=4, steps=2, device="cpu", build=build)
    assert (found["not_finite"], found["parameters_finite"], found["steps"]) == (0, True, 2)


def test_a_training_that_breaks_is_seen() -> None:
    class Broken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(6))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.factor * images.new_full((len(images), 6), float("nan"))

    found = train_in_bfloat16("", 4, batch=2, steps=3, device="cpu", build=Broken)
    assert (found["not_finite"], found["parameters_finite"]) == (3, False)
    json.dumps(found, allow_nan=False)


@pytest.mark.apart
@pytest.mark.slow
def test_finished_parts_are_kept_and_others_run(tmp_path: Path, monkeypatch) -> None:
    assert gpu_parts.run_parts(options(tmp_path, "--parts", "networks")) == 0
    first = json.loads((tmp_path / "gpu.json").read_text())
    assert len(first["parts"]) == 4
    assert not any("failed" in entry for part in first["parts"].values() for entry in part["found"])
    assert gpu_parts.run_parts(options(tmp_path, "--parts", "networks")) == 0
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"] == first["parts"]
    parts = gpu_parts.chosen_parts(first, options(tmp_path, "--skip-tests"))
    assert not any(name.startswith(("networks", "tests")) for name in parts)
    assert len(gpu_parts.chosen_parts(first, options(tmp_path, "--again", "networks", "--parts", "scan"))) == 5


@pytest.mark.apart
def test_a_failed_part_is_told_and_runs_again(tmp_path: Path, monkeypatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory\nlong report")

    monkeypatch.setattr(catalogue, "measure_ceilings", fail)
    assert gpu_parts.run_parts(options(tmp_path, "--parts", "ceilings")) == 1
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["failed"] == {"ceilings": "out of memory"}
    assert "ceilings" in gpu_parts.chosen_parts(result, options(tmp_path))


def test_an_interrupt_keeps_finished_parts(tmp_path: Path, monkeypatch, capsys) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "time_networks", interrupt)
    monkeypatch.setattr(catalogue, "measure_accuracy", lambda *arguments: {"errors": [], "special_values": []})
    gpu_parts.run_parts(options(tmp_path, "--parts", "accuracy", "networks"))
    assert list(json.loads((tmp_path / "gpu.json").read_text())["parts"]) == ["accuracy"]
    assert "finished parts are kept" in capsys.readouterr().out


@pytest.mark.apart
def test_what_was_shortened_is_measured_again_in_full(tmp_path: Path) -> None:
    result = {"parts": {"accuracy": {"shortened": True, "found": {}}, "scan": {"found": []}}}
    assert "accuracy" not in gpu_parts.chosen_parts(result, options(tmp_path, "--quick"))
    chosen = gpu_parts.chosen_parts(result, options(tmp_path))
    assert "accuracy" in chosen
    assert "scan" not in chosen


@pytest.mark.apart
def test_what_is_right_comes_before_what_is_fast(tmp_path: Path) -> None:
    quick = list(gpu_parts.chosen_parts({"parts": {}}, options(tmp_path, "--quick")))
    assert quick[:3] == ["checks", "accuracy", "networks: training, batch 2, bfloat16"]
    assert "tests" not in quick
    assert list(gpu_parts.chosen_parts({"parts": {}}, options(tmp_path)))[-1] == "tests"


def test_no_part_begins_when_the_time_is_up(tmp_path: Path, capsys) -> None:
    assert gpu_parts.run_parts(options(tmp_path, "--parts", "ceilings", "scan"), Budget(0)) == 0
    assert "== scan: left out, the time is up" in capsys.readouterr().out


def test_a_result_of_another_commit_is_measured_anew(tmp_path: Path, capsys) -> None:
    path = tmp_path / "gpu.json"
    for revision, parts in ((None, {}), ("0" * 40, {"scan": {}})):
        result = gpu_parts.begin(tmp_path / "none", options(tmp_path)) | {"parts": {"scan": {}}}
        result["machine"]["revision"] = revision or result["machine"]["revision"]
        path.write_text(json.dumps(result))
        assert (gpu_parts.begin(path, options(tmp_path))["parts"] == {}) == bool(parts)
    assert "everything is measured again" in capsys.readouterr().out


def test_an_extension_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no selective_scan_cuda"):
        gpu.use_extension(tmp_path)


def test_a_built_extension_is_found_by_this_process_and_those_after_it(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "selective_scan_cuda.cpython-311.so").write_text("")
    monkeypatch.setattr(gpu.sys, "path", list(gpu.sys.path))
    monkeypatch.setenv("PYTHONPATH", "before")
    monkeypatch.setattr(type(catalogue.BACKENDS["mamba_ssm"]), "find_import_failure", lambda self: None)
    gpu.use_extension(tmp_path / "selective_scan_cuda.cpython-311.so")
    assert gpu.sys.path[0] == str(tmp_path.resolve())
    assert gpu.os.environ["PYTHONPATH"] == f"{tmp_path.resolve()}{gpu.os.pathsep}before"


def test_a_result_of_another_device_is_not_continued(tmp_path: Path) -> None:
    other = {"machine": {"device": "cuda", "gpu": "another"}, "options": {"image_size": 32, "rounds": 1}}
    (tmp_path / "gpu.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="choose another --output"):
        gpu_parts.begin(tmp_path / "gpu.json", options(tmp_path))


def test_a_part_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no part is called magic"):
        gpu_parts.run_parts(options(tmp_path, "--parts", "magic"))


class LaunchConfig(NamedTuple):
    block: int
    warps: int
    name: str = "forward"


@pytest.fixture
def launches(monkeypatch):
    """A module that chooses configurations, and a scan that asks it; 2 warps do not compile, block 64 is wrong."""
    module = SimpleNamespace(launch_config=lambda channels: LaunchConfig(block=32, warps=1), asked=[])
    right = accuracy.scan

    def scan(inputs, spatial, backend="auto"):
        config = module.launch_config(channels=inputs[0].shape[2])
        module.asked.append(config)
        if config.warps == 2:
            raise RuntimeError("out of registers")
        return right(inputs, spatial, "torch") * (2 if config.block == 64 else 1)

    monkeypatch.setattr(accuracy, "scan", scan)
    monkeypatch.setattr(gpu_launches, "scan", scan)
    return module


def test_launch_configurations_are_swept_one_field_at_a_time(launches, capsys) -> None:
    original = launches.launch_config
    found = gpu_launches.sweep_kernels([SMALL], 1, "cpu", "torch", launches)
    forward = {entry["name"]: entry.get("failed") for entry in found if entry["task"].startswith("forward B")}
    assert forward["as chosen"] is forward["block x 0.5"] is None
    assert "warps x 0.5" not in forward  # one warp cannot be halved
    assert forward["warps x 2"] == "out of registers"
    assert forward["block x 2"].startswith("results differ by")
    assert LaunchConfig(16, 1) in launches.asked
    assert launches.launch_config is original
    assert "out of registers" in capsys.readouterr().out


def test_the_triton_backend_takes_a_changed_configuration() -> None:
    pytest.importorskip("triton")
    module = importlib.import_module(gpu_launches.MODULE)
    chosen = module.launch_config()
    with gpu_launches._wrapped(module, lambda config: gpu_launches.changed(config, ("forward_block", 0.5))):
        assert module.launch_config() == chosen._replace(forward_block=chosen.forward_block // 2)
    assert module.launch_config() == chosen


def test_the_recipe_names_no_folder_of_a_machine() -> None:
    assert "mamba-ssm 2.3.2.post1" in catalogue.BUILD_RECIPE
    assert "/" not in catalogue.BUILD_RECIPE
