"""A package in another format, and the report that holds the file to the package's numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.export.classifier import Classifier, InHalf, Preprocess
from medmamba_monai.export.compare import Comparison, compare_with_eager
from medmamba_monai.export.formats import FORMATS, Format
from medmamba_monai.export.images import generate_images, read_images
from medmamba_monai.export.prepare import make_loopable, make_plain
from medmamba_monai.export.quantization import check_integers, write_integers
from medmamba_monai.export.quantization.calibration import read_some
from medmamba_monai.package import Package

REPORT = "export_report.json"
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
BARS: Mapping[str, float] = {"fp32": 1e-5, "fp16": 1e-2, "int8": 0.15}
"""Largest difference of a probability that an export of a precision may have."""
PREPROCESSING_BAR = 1e-3
"""The same with preprocessing in float32: a pixel that scales to a half may round to the other whole number."""
BATCHES = (1, 2, 5)


def export_package(
    package: Package | str | os.PathLike[str],
    output: str | os.PathLike[str],
    format: str = "onnx",  # the name of the command's option
    precision: str = "fp32",
    *,
    ensemble: bool = False,
    fold: int | None = None,
    preprocessing: bool = False,
    images: str | os.PathLike[str] | None = None,
    calibration: str | os.PathLike[str] | None = None,
    batches: Sequence[int] = BATCHES,
) -> dict[str, Any]:
    """Write a package's network in another format, run it, and write how far it is from the package.

    Args:
        package: or its folder.
        output: folder of the file and of ``export_report.json``; must be new or empty.
        format: one of `FORMATS`.
        precision: ``fp32``, ``fp16`` or, of ONNX, ``int8``.
        ensemble: whether the file holds all folds and returns the mean of their probabilities.
        fold: number of the one fold that it holds; not needed of a package of one fold.
        preprocessing: whether the file takes images of 0 to 255 of any size, as they are read from files.
        images: folder of images to compare on; by default generated ones.
        calibration: of ``int8``: the cross-validation that the package was made of, whose training images are read, or
            a folder of images. The comparison is on some of them where ``images`` is not given.
        batches: sizes of the batches that are compared and timed.

    Returns:
        What the report holds.

    Raises:
        UserError: an argument is none of those that there are, a package is missing that the format needs, the folder
            is not empty, or the file's probabilities differ by more than its precision may.
    """
    kind = FORMATS[check_choice(format, tuple(FORMATS), "format")]
    chosen = check_choice(precision, PRECISIONS, "precision")
    _check_batches(batches)
    if chosen == "int8":
        check_integers(format, preprocessing, calibration)
    elif calibration is not None:
        raise UserError(f"--calibration is of --precision int8, not of {chosen}: leave it out")
    target = _check_output(Path(output))
    opened = package if isinstance(package, Package) else Package.open(package)
    folds = choose_folds(opened, ensemble, fold)
    kind.check_installed()
    if images is None and calibration is not None:
        pixels = read_some(opened, calibration, folds[0], max(batches))
    else:
        pixels = _find_images(opened, images, max(batches), preprocessing)
    batch = make_batch(opened, pixels, preprocessing)
    module = make_classifier(opened, folds, kind, chosen, preprocessing)
    target.mkdir(parents=True, exist_ok=True)
    path = target / kind.file
    kind.write(module, torch.cat([batch[:1]] * 2), path, name_axes(opened, preprocessing), chosen)
    integers = {} if calibration is None else write_integers(opened, folds, path, calibration)
    eager = Classifier([opened.networks[number] for number in folds], opened.manifest.activation).eval()
    ready = opened.convert([opened.resize(one) for one in pixels])
    found = compare_with_eager(kind.load(path, torch.get_num_threads()), eager, batch, ready, batches)
    report = _describe(opened, kind, chosen, folds, preprocessing, images or calibration, target, found) | integers
    write_json(target / REPORT, report)
    if not report["agrees"]:
        for written in kind.list_files(target):
            written.unlink()
        raise UserError(
            f"{path}: probabilities differ by {found.difference:.2g} from those of the package, more than the "
            f"{report['bar']:g} that {chosen} may; the file was removed, and {target / REPORT} says more"
        )
    return report


def choose_folds(package: Package, ensemble: bool, fold: int | None) -> list[int]:
    """Return the numbers of the folds to export.

    Raises:
        UserError: none is told of several, there is no such fold, or one and all are asked for.
    """
    numbers = list(package.networks)
    if ensemble and fold is not None:
        raise UserError(f"--ensemble means all folds, and --fold {fold} one of them: give one of the two")
    if ensemble:
        return numbers
    if fold is None and len(numbers) > 1:
        raise UserError(f"the package holds the folds {numbers}: give --ensemble for the mean of all, or --fold")
    if fold is not None and fold not in numbers:
        raise UserError(f"--fold {fold} is not in the package, which holds {numbers}")
    return numbers if fold is None else [fold]


def make_classifier(
    package: Package, folds: Sequence[int], kind: Format, precision: Precision, preprocessing: bool
) -> Classifier:
    """Return what is written: copies of the networks, prepared for a format."""
    prepare = make_loopable if kind.looped else make_plain
    networks: list[nn.Module] = [prepare(package.networks[fold]) for fold in folds]
    if precision == "fp16" and kind.halves:
        networks = [InHalf(network) for network in networks]
    description, reading = package.manifest.network, package.manifest.reading
    size = [description.image_size] * description.spatial_dims
    repeats = description.in_channels // reading["channels"]
    preprocess = Preprocess(size, repeats, reading.get("dtype", "uint8") == "uint8") if preprocessing else None
    return Classifier(networks, package.manifest.activation, preprocess).eval()


def name_axes(package: Package, preprocessing: bool) -> dict[int, str]:
    """Return the names of the input's axes whose size is free, by their number."""
    spatial = ("depth", "height", "width")[-package.manifest.network.spatial_dims :]
    return {0: "batch", **({2 + axis: name for axis, name in enumerate(spatial)} if preprocessing else {})}


def make_batch(package: Package, pixels: Sequence[Tensor], preprocessing: bool) -> Tensor:
    """Return the input of the file: images as they are read, or as a network takes them."""
    return torch.stack([one.float() for one in pixels]) if preprocessing else package.convert(pixels)


def _find_images(
    package: Package, folder: str | os.PathLike[str] | None, count: int, preprocessing: bool
) -> list[Tensor]:
    if folder is not None:
        return read_images(package, folder, count, scaled=not preprocessing)
    size = package.manifest.network.image_size
    sizes = [size + 7 * (axis + 1) if preprocessing else size for axis in range(package.manifest.network.spatial_dims)]
    return generate_images(package, count, sizes)


def _describe(
    package: Package,
    kind: Format,
    precision: Precision,
    folds: Sequence[int],
    preprocessing: bool,
    images: str | os.PathLike[str] | None,
    folder: Path,
    found: Comparison,
) -> dict[str, Any]:
    bar = max(BARS[precision], PREPROCESSING_BAR) if preprocessing else BARS[precision]
    files = kind.list_files(folder)
    return {
        "format": next(name for name, known in FORMATS.items() if known is kind),
        "precision": precision,
        "files": [path.name for path in files],
        "bytes": sum(path.stat().st_size for path in files),
        "folds": list(folds),
        "preprocessing": preprocessing,
        "class_names": list(package.manifest.class_names),
        **kind.describe(),
        "images": "generated" if images is None else "given",
        "bar": bar,
        "agrees": found.difference <= bar,
        **found.describe(),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", kind.package)},
    }


def _check_output(target: Path) -> Path:
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UserError(f"{target}: is not empty; name a new folder for the export")
    return target


def _check_batches(batches: Sequence[int]) -> None:
    if not batches or min(batches) < 1:
        raise UserError(f"batches is {list(batches)}: give one or more whole numbers from 1")
