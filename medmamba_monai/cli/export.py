"""``medmamba-monai export``: a package in another format, with a report that holds it to the package's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_IMAGES = "Folder of images to compare on; by default generated ones."
_CALIBRATION = "For int8: the run that the package was made of, or a folder of training images."
_PREPROCESSING = "The file takes images of 0 to 255 of any size; by default those that are scaled already."


def export(
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="Folder that the command package wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the file and export_report.json; must be new or empty.")],
    format: Annotated[str, typer.Option(help="onnx, torch_export, torchscript or openvino.")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16 or, of ONNX, int8.")] = "fp32",
    ensemble: Annotated[bool, typer.Option("--ensemble", help="All folds, the mean of their probabilities.")] = False,
    fold: Annotated[int | None, typer.Option(help="The one fold, of a package of several.", show_default=False)] = None,
    preprocessing: Annotated[bool, typer.Option("--preprocessing", help=_PREPROCESSING)] = False,
    images: Annotated[Path | None, typer.Option(help=_IMAGES, show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(help=_CALIBRATION, show_default=False)] = None,
) -> None:
    """Write a package in another format and compare both."""
    from medmamba_monai.export import export_package, format_report

    report = export_package(
        package,
        output,
        format,
        precision,
        ensemble=ensemble,
        fold=fold,
        preprocessing=preprocessing,
        images=images,
        calibration=calibration,
    )
    print(format_report(report))
    print(f"written: {', '.join(str(output / name) for name in (*report['files'], 'export_report.json'))}")
