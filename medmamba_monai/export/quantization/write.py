"""A file in float32 turned into one in integers, and what the report says of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.export.quantization.calibration import read_calibration
from medmamba_monai.export.quantization.judge import compare_on_test_images
from medmamba_monai.export.quantization.quantize import quantize_onnx
from medmamba_monai.package import Package


def check_integers(format: str, preprocessing: bool, calibration: str | os.PathLike[str] | None) -> None:
    """Raise a UserError unless a file in integers can be written so."""
    if format != "onnx":
        raise UserError(f"--precision int8 is of ONNX, not of {format}: give --format onnx, or another precision")
    if preprocessing:
        raise UserError("--precision int8 is of files that take scaled images: leave --preprocessing out")
    if calibration is None:
        raise UserError(
            "--precision int8 needs --calibration, as a package holds no image: the folder of the cross-validation "
            "that it was made of, or a folder of training images"
        )


def write_integers(
    package: Package, folds: Sequence[int], path: Path, calibration: str | os.PathLike[str]
) -> dict[str, Any]:
    """Replace a file in float32 by the same network in integers.

    Args:
        package: what the file was exported from.
        folds: whose networks it holds; the training images are those of the first.
        path: of the file.
        calibration: see `read_calibration`; with a run and one fold, the test images are judged with both files.

    Returns:
        For the report: ``quantization``, and ``test_images``, the change of AUC, or the reason why it is not known.

    Raises:
        UserError: there is no image to calibrate on, or the run is another's.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / path.name
        before.write_bytes(path.read_bytes())
        made = quantize_onnx(before, read_calibration(package, calibration, folds[0]), path)
        kinds = {"nodes": len(made.nodes), "weights": made.weights, "other_numbers": made.other_numbers}
        described = {"calibration_images": made.images, "float_bytes": before.stat().st_size, **kinds}
        if not RunFolder(calibration).description.is_file() or len(folds) > 1:
            reason = "not judged: that needs one fold, and the run for --calibration"
            return {"quantization": described, "test_images": reason}
        change = compare_on_test_images(package, calibration, folds[0], before, path)
    return {"quantization": described, "test_images": asdict(change)}
