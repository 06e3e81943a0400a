"""What integers make of an exported MedMamba: ``python -m benchmarks.quantization RUN``.

RUN is a finished cross-validation, such as that of the demo. The network of one of its folds is exported to ONNX,
quantized on training images of the fold to 8 and to 4 bits, and judged by AUC on the test images of the fold in
onnxruntime. Then the numbers of every MedMamba are counted, and with ``--image-size`` the files of a MedMamba-T with
random weights are written, whose size does not depend on the weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.machine import describe_machine
from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.export.onnx import export_onnx
from medmamba_monai.export.quantization import quantize_onnx, read_calibration
from medmamba_monai.export.quantization.judge import compare_probabilities, predict_onnx
from medmamba_monai.networks import build_network
from medmamba_monai.package import Package, read_folds_of_run, write_package

BITS: tuple[Literal[8, 4], ...] = (8, 4)
COUNTED = ("medmamba_tiny", "medmamba_small", "medmamba_base")
IN_FILES = "medmamba_tiny"


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.quantization", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished cross-validation")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--calibration-images", type=int, default=128)
    parser.add_argument("--image-size", type=int, help="edge of the images of a file of MedMamba-T; default: no file")
    add_common_options(parser)
    options = parser.parse_args(arguments)
    settings = {key: value for key, value in vars(options).items() if key not in ("json", "run")}
    result = new_result("quantization", settings, describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        result["trained"] = judge_run(options, Path(folder))
        result["files"] = measure_files(options.image_size, Path(folder)) if options.image_size else []
    result["counted"] = [count_numbers(name) for name in COUNTED]
    print(text_table(["file", "bytes"], [[str(row["bits"]), f"{row['bytes']:,}"] for row in list_files(result)]))
    save_result(result, options.json)
    return 0


def judge_run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Export, quantize and judge the network of one fold."""
    package = write_package(options.run, folder / "package")
    described = package.manifest.network
    path = export_onnx(package.networks[options.fold], make_example(described.image_size), folder / "float.onnx")
    items = read_folds_of_run(package, options.run).parts(options.fold)["test"]
    before = judge(package, path, items)
    files: list[dict[str, Any]] = [{"bits": 32, "bytes": path.stat().st_size}]
    for bits in BITS:
        images = read_calibration(package, options.run, options.fold, options.calibration_images)
        made = quantize_onnx(path, images, folder / f"{bits}.onnx", bits)
        after = judge(package, folder / f"{bits}.onnx", items)
        change = compare_probabilities(before, after, items, package.manifest.task)
        kinds = {"nodes": len(made.nodes), "weights": made.weights, "other_numbers": made.other_numbers}
        files.append({"bits": bits, "bytes": made.bytes, **kinds, "images": made.images, "change": asdict(change)})
    parameters = sum(parameter.numel() for parameter in package.networks[options.fold].parameters())
    return {
        "dataset": package.card.title,
        "network": described.model_dump(mode="json"),
        "parameters": parameters,
        "files": files,
    }


def judge(package: Package, path: Path, items: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the probabilities that a file gives of the images of items."""
    return predict_onnx(package, path, [item["image"] for item in items], batch_size=16)


def measure_files(image_size: int, folder: Path) -> list[dict[str, Any]]:
    """Write MedMamba-T with random weights in float32 and in integers and return the sizes of the files."""
    torch.manual_seed(0)
    network = build_network(IN_FILES, 2, 3, 2, image_size).eval()
    path = export_onnx(network, make_example(image_size), folder / "random.onnx")
    files: list[dict[str, Any]] = [{"bits": 32, "bytes": path.stat().st_size}]
    images = np.random.default_rng(0).normal(size=(2, 3, image_size, image_size)).astype(np.float32)
    for bits in BITS:
        files.append({"bits": bits, "bytes": quantize_onnx(path, [images], folder / "made.onnx", bits).bytes})
    return files


def make_example(image_size: int) -> torch.Tensor:
    """Return a batch of RGB images whose values do not matter."""
    return torch.zeros(2, 3, image_size, image_size)


def count_numbers(name: str) -> dict[str, Any]:
    """Count the numbers of a network with two classes, those of its linears and convolutions apart."""
    network = build_network(name, 2, 3, 2, 224)
    parameters = {key: parameter.numel() for key, parameter in network.named_parameters()}
    kinds: dict[str, int] = {"convolutions": 0, "linears": 0}
    for key, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            kinds["convolutions"] += parameters[f"{key}.weight"]
        elif isinstance(module, nn.Linear):
            kinds["linears"] += parameters[f"{key}.weight"]
    kinds["linears"] += sum(count for key, count in parameters.items() if key.endswith("x_proj_weight"))
    return {"network": name, "parameters": sum(parameters.values()), **kinds}


def list_files(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all files of a result."""
    return [*result["trained"]["files"], *result["files"]]


if __name__ == "__main__":
    sys.exit(main())
