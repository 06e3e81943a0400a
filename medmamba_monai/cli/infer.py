"""``medmamba-monai infer``: a folder of images through the weights of a bundle, or through a package."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from medmamba_monai.bundle.commands import INFER
from medmamba_monai.cli.bundle_options import take_options
from medmamba_monai.core.errors import UserError

_TARGET = "Folder of a bundle, name of a dataset, or folder that the command package wrote."
_OUTPUT = "Folder for predictions.csv and files.csv; a bundle has one by default."
_FOLD = "Bundle: fold whose weights to use; by default 0."
_RUN = "Bundle: cross-validation whose weights to use; by default those that train left."
_LEVEL = "Package: share of sets that are to hold the true class; by default 0.9."
_DICOM = "Package: IMAGES is a study's folder of DICOM files; folder for a report and pictures that answer it."
_MAPS = "Package, with --dicom-out: also pictures of what speaks for the class, by a method such as positive_relevance."
_OF_BOTH = ("batch_size", "dataset_dir", "device", "output_dir")
"""Options of the table that a package has, too."""


@take_options(INFER)
def infer(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=_TARGET)],
    options: dict[str, Any],
    images: Annotated[Path | None, typer.Argument(metavar="IMAGES", help="Folder of images.")] = None,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "--output", metavar="TEXT", help=_OUTPUT)] = None,
    fold: Annotated[int | None, typer.Option(help=_FOLD)] = None,
    all_folds: Annotated[bool, typer.Option("--all-folds", help="Bundle: use the mean of all folds.")] = False,
    run_name: Annotated[str | None, typer.Option(metavar="NAME", help=_RUN)] = None,
    level: Annotated[float | None, typer.Option(help=_LEVEL)] = None,
    dicom_out: Annotated[Path | None, typer.Option(metavar="FOLDER", help=_DICOM)] = None,
    maps: Annotated[str | None, typer.Option(metavar="METHOD", help=_MAPS)] = None,
) -> None:
    """Classify a folder of images with a bundle or a package."""
    if images and "dataset_dir" in options:
        raise UserError(f"--dataset-dir {options['dataset_dir']}: IMAGES names {images} already; give one of them")
    named = {"dataset_dir": images, "output_dir": output_dir}
    options |= {name: str(path) for name, path in named.items() if path is not None}
    of_bundles = {"fold": fold, "all_folds": all_folds or None, "run_name": run_name}
    of_packages = {"level": level, "dicom_out": dicom_out, "maps": maps}
    if _is_package(target):
        own = [name for name in options if name not in _OF_BOTH]
        _refuse([*own, *_list_given(of_bundles)], f"is an option of bundles, and {target} is a package")
        if maps is not None and dicom_out is None:
            raise UserError(f"--maps {maps}: goes with --dicom-out; of other images medmamba-monai explain draws maps")
        (_answer_study if dicom_out else _infer_with_package)(Path(target), INFER.check(options), of_packages)
    else:
        _refuse(_list_given(of_packages), f"is an option of packages, and {target} holds no package.json")
        _infer_with_bundle(target, options, None if all_folds else fold or 0, run_name)


def _is_package(target: str) -> bool:
    from medmamba_monai.package.manifest import MANIFEST

    return (Path(target) / MANIFEST).is_file()


def _list_given(options: Mapping[str, Any]) -> list[str]:
    return [name for name, value in options.items() if value is not None]


def _refuse(names: list[str], reason: str) -> None:
    for name in names:
        raise UserError(f"--{name.replace('_', '-')}: {reason}; leave it out")


def _infer_with_bundle(bundle: str, options: Mapping[str, Any], fold: int | None, run_name: str | None) -> None:
    from medmamba_monai import Bundle
    from medmamba_monai.bundle.find_bundle import find_bundle
    from medmamba_monai.package.manifest import MANIFEST

    try:
        find_bundle(bundle)
    except UserError as error:
        raise UserError(f"{error}. Nor is it a package, a folder with {MANIFEST}") from error
    Bundle(bundle).infer(fold, run_name, **options)


def _infer_with_package(folder: Path, options: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    from medmamba_monai.package import Package, predict_folder

    _require(
        options, f"medmamba-monai infer {folder} IMAGES --output FOLDER", dataset_dir="IMAGES", output_dir="--output"
    )
    output, chosen = Path(options["output_dir"]), {name: own[name] for name in _list_given(own)}
    package = Package.open(folder, options.get("device", "auto"))
    found = predict_folder(package, options["dataset_dir"], output, batch_size=options.get("batch_size"), **chosen)
    print(f"{len(found.probabilities)} images classified: {output / 'predictions.csv'}")
    print(f"It names no files. Which image is which says {output / 'files.csv'}: keep that one to yourself.")


def _answer_study(folder: Path, options: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    from medmamba_monai.hospital import answer_study
    from medmamba_monai.package import Package

    _refuse([name for name in ("output_dir", "batch_size") if name in options], "does not go with --dicom-out")
    _require(options, f"medmamba-monai infer {folder} STUDY --dicom-out FOLDER", dataset_dir="STUDY")
    chosen = {name: own[name] for name in ("level", "maps") if own[name] is not None}
    package = Package.open(folder, options.get("device", "auto"))
    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it tells of each module that it copies
    report, *pictures = answer_study(package, options["dataset_dir"], own["dicom_out"], **chosen)
    print(f"report: {report}\npictures of it beside it: {len(pictures)}; all are objects of the same study")


def _require(options: Mapping[str, Any], command: str, **flags: str) -> None:
    for name, flag in flags.items():
        if name not in options:
            raise UserError(f"{flag}: is missing; write {command}")
