"""A package in each format: run again by its runtime, a report beside it, and one clear error for what can be wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.export import FORMATS, export_package, formats
from medmamba_monai.export import package as export_module
from medmamba_monai.export.classifier import Preprocess, make_triangle_filter
from medmamba_monai.export.onnx import export_onnx
from medmamba_monai.images import ResizeImage
from medmamba_monai.package import Package


@pytest.fixture(scope="module")
def opened(packed: Path) -> Package:
    return Package.open(packed)


@pytest.fixture(scope="module")
def onnx_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Write the ONNX file of the same network once: that takes ten seconds, and two formats are made of such a file."""
    folder = tmp_path_factory.mktemp("onnx")

    def export_once(module: torch.nn.Module, example: torch.Tensor, path: Path, **options: Any) -> Path:
        weights = [(name, tensor.numpy().tobytes()) for name, tensor in module.state_dict().items()]
        told = repr((str(module), weights, tuple(example.shape), options))
        file = folder / hashlib.sha256(told.encode()).hexdigest()
        if not file.exists():
            export_onnx(module, example, file, **options)
        return Path(shutil.copy(file, path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "export_onnx", export_once)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("onnx_once")
@pytest.mark.parametrize(
    ("format", "precision", "options"),
    [
        ("torchscript", "fp32", {"ensemble": True, "preprocessing": True}),
        pytest.param("torch_export", "fp32", {"fold": 0}, marks=pytest.mark.apart),
        pytest.param("onnx", "fp32", {"fold": 1, "preprocessing": True}, marks=pytest.mark.apart),
        pytest.param("openvino", "fp16", {"fold": 0}, marks=pytest.mark.apart),
    ],
)
def test_a_file_agrees_with_the_package_and_its_report_says_so(opened, format, precision, options, tmp_path: Path):
    report = export_package(opened, tmp_path / "out", format, precision, batches=(1, 3), **options)
    assert json.loads((tmp_path / "out" / "export_report.json").read_text(encoding="utf-8")) == report
    assert report["agrees"]
    assert 0 <= report["difference"] <= report["bar"]
    assert report["bytes"] == sum((tmp_path / "out" / name).stat().st_size for name in report["files"])
    assert [row["images"] for row in report["batches"]] == [1, 3]
    assert all(row["times_eager"] > 0 for row in report["batches"])
    assert report["folds"] == ([0, 1] if "ensemble" in options else [options["fold"]])


def test_a_difference_above_the_bar_is_an_error_and_leaves_no_file(opened, monkeypatch, tmp_path: Path):
    monkeypatch.setitem(export_module.BARS, "fp16", 0.0)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="probabilities differ by"):
        export_package(opened, tmp_path, "torchscript", "fp16", fold=0, batches=(1,))
    assert [path.name for path in tmp_path.iterdir()] == ["export_report.json"]
    report = json.loads((tmp_path / "export_report.json").read_text(encoding="utf-8"))
    assert not report["agrees"]
    assert report["difference"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "caffe"}, "unknown format 'caffe': choose one of onnx, torch_export, torchscript, openvino"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({}, "give --ensemble"),
        ({"fold": 7}, "--fold 7 is not in the package"),
        ({"fold": 0, "ensemble": True}, "give one of the two"),
        ({"fold": 0, "precision": "int8"}, "needs --calibration"),
        ({"fold": 0, "precision": "int8", "format": "openvino"}, "int8 is of ONNX, not of openvino"),
        ({"fold": 0, "precision": "int8", "preprocessing": True}, "leave --preprocessing out"),
        ({"fold": 0, "calibration": "images"}, "--calibration is of --precision int8"),
        ({"ensemble": True, "batches": (0,)}, "whole numbers from 1"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(opened, options, message, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        export_package(opened, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_not_empty_is_refused(packed, tmp_path: Path, capsys):
    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    assert main(["export", str(packed), "--output", str(tmp_path), "--ensemble"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    ("format", "missing", "extra"), [("onnx", "onnxruntime", "export"), ("openvino", "openvino", "openvino")]
)
def test_a_missing_runtime_names_its_extra(opened, monkeypatch, format, missing, extra, tmp_path: Path):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf'pip install "medmamba-monai\[{extra}\]"'):
        export_package(opened, tmp_path, format, fold=0)


def test_the_command_says_size_difference_and_latency(packed, tmp_path: Path, capsys):
    arguments = ["--format", "torchscript", "--fold", "0", "--output", str(tmp_path / "out")]
    assert main(["export", str(packed), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "largest difference of a probability" in printed
    assert "times the" in printed
    assert (tmp_path / "out" / FORMATS["torchscript"].file).is_file()


@pytest.mark.parametrize("size", [(20, 45), (32, 32), (71, 16), (7, 30, 40)])
def test_preprocessing_scales_as_the_package_does(size):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, *size), dtype=np.uint8))
    target = [32] * len(size)
    expected = ResizeImage(target)(pixels).float()
    found = (Preprocess(target, repeats=3)(pixels[None])[0] + 1) / 2 * 255
    assert found.shape == (3, *target)
    assert (found - expected).abs().max() < 1.01  # a half may round to the other side
    assert ((found - expected).abs() > 0.01).float().mean() < 0.001


def test_an_axis_that_keeps_its_size_keeps_its_values():
    torch.testing.assert_close(make_triangle_filter(9, 9), torch.eye(9), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.apart
@pytest.mark.usefixtures("onnx_once")
def test_a_file_in_integers_says_what_it_did_to_the_auc_of_the_test_images(packed, cross_validated, tmp_path, capsys):
    arguments = ["--precision", "int8", "--fold", "0", "--calibration", str(cross_validated / "output")]
    assert main(["export", str(packed), *arguments, "--output", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "export_report.json").read_text(encoding="utf-8"))
    assert 0 < report["difference"] <= report["bar"]
    assert report["quantization"]["calibration_images"] > 0
    change = report["test_images"]
    assert change["images"] == 20
    assert change["change"] == pytest.approx(change["auc_after"] - change["auc_before"])
    assert f"AUC on 20 test images: {change['auc_after']:.4f}" in capsys.readouterr().out
