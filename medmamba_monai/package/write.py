"""From the folder of a finished cross-validation to a package."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import check_new_folder, fill_new_folder, write_bytes, write_json, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.versions import read_versions
from medmamba_monai.data import read_audit_beside, read_fold_list
from medmamba_monai.evaluation import ConformalPredictor, CrossValidationResult, read_result
from medmamba_monai.evaluation.results.files import describe_result
from medmamba_monai.evaluation.statistics.conformal import Method
from medmamba_monai.networks.tensor_files import read_safetensors_file
from medmamba_monai.package.fit_likeness import fit_likeness
from medmamba_monai.package.likeness_file import write_likeness
from medmamba_monai.package.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    File,
    Known,
    Manifest,
    Member,
    NetworkDescription,
    UnlikeFile,
    compute_digest,
)
from medmamba_monai.package.model_card import ModelCard
from medmamba_monai.package.open import Package
from medmamba_monai.package.select_folds import CHOICES, Folds, select_folds

logger = logging.getLogger("medmamba_monai.package")

MODEL_CARD = "model_card.json"

_PACKAGES = ("medmamba-monai", "torch", "monai", "numpy", "safetensors")
_READ_OTHERWISE = ("train#reading", "train#preprocessing", "validate", "network_def", "in_channels", "read")
"""Parts of the configs that a package has no place for; a run that overrode them would be judged otherwise."""


def write_package(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str],
    folds: Folds = "all",
    dataset_dir: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    look_at_images: bool = True,
) -> Package:
    """Write the package of a finished cross-validation, and open it to see that it works.

    The images of the run are read once more, to know later which images are unlike them. Where they are no longer
    where the run found them, the package is written without, says why, and a warning is logged.

    Args:
        run: folder of the cross-validation, such as ``output/first``.
        output: folder of the package; must be new or empty.
        folds: ``all``: the ensemble; ``finished``: that of the folds that have finished, where not all have;
            ``best``: the fold with the highest AUC on its validation part, the first among equals; a number: that fold.
            The figures of one fold are then those of the package.
        dataset_dir: folder of the run's images; by default where the run found them.
        device: where the networks look at them, see `resolve_device`.
        look_at_images: whether the package is to know which images are unlike those of the run.

    Raises:
        UserError: the run has not finished, its files do not fit each other, it was read in ways that a package does
            not know, the folder is not empty, or ``dataset_dir`` was given and does not hold the run's images.
    """
    source = RunFolder(run)
    if isinstance(folds, str):
        check_choice(folds, CHOICES, "folds")
    check_new_folder(output, "package")
    where = resolve_device(device)
    whole = read_result(source)
    result = select_folds(whole, folds)
    settings, described = _read_json(source.settings), _read_json(source.description)
    if (inputs := described.get("inputs", "image")) != "image":
        raise UserError(f"{source.path}: its models are given {inputs}; a package holds networks of images alone")
    if probe := settings.get("probe"):
        raise UserError(
            f"{source.path}: its models are probes ({probe}) of frozen features, which leave no network that could be "
            "packed or judge other images; train a network from the same weights (--pretrained without --probe) and "
            "give the folder of that run"
        )
    _check_overrides(source, settings)
    card = load_card(described["card"])
    headers = {fold: _read_header(source.fold(fold).safetensors) for fold in result.folds}
    for fold, header in headers.items():
        _check_header(source.fold(fold).safetensors, header, card, described["fold_digest"])
    with fill_new_folder(output, "package") as target:
        write_text(target / "card.json", card.model_dump_json(indent=2, exclude_defaults=True) + "\n")
        manifest = _describe(source, target, result, card, settings, headers, folds)
        if look_at_images:
            write_json(target / MANIFEST, manifest.model_dump(mode="json"))
            unlike = _describe_unlike(Package.open(target, where), target, described, dataset_dir)
            manifest = manifest.model_copy(update=unlike)
        audit = read_audit_beside(Path(described["data_list"]), described["fold_digest"])
        model_card = ModelCard(manifest, card, result, whole.missing, audit)
        write_text(target / "README.md", model_card.format_markdown())
        write_json(target / MODEL_CARD, model_card.describe())
        write_json(target / MANIFEST, manifest.model_dump(mode="json"))
        return Package.open(target)


def _describe_unlike(
    package: Package, target: Path, described: dict[str, Any], dataset_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Look at the run's images; returns what the manifest says of that."""
    given = described["dataset_dir"] if dataset_dir is None else dataset_dir
    try:
        found, counts = fit_likeness(package, read_fold_list(described["data_list"], Path(given)))
    except UserError as error:
        if dataset_dir is not None:
            raise
        logger.warning("The package cannot tell images that are unlike the training images: %s", error)
        return {"unlike_missing": "the images of the run could not be read, or were too few, when this was written"}
    path = target / "unlike.safetensors"
    write_likeness(path, found)
    file = File(path=path.name, sha256=compute_digest(path))
    unlike = UnlikeFile(file=file, training_images=counts["train"], validation_images=counts["validation"])
    return {"unlike": unlike, "unlike_missing": ""}


def _describe(
    source: RunFolder,
    target: Path,
    result: CrossValidationResult,
    card: DatasetCard,
    settings: dict[str, Any],
    headers: dict[int, dict[str, Any]],
    folds: Folds,
) -> Manifest:
    fitted: dict[Method, ConformalPredictor] = (
        {}
        if result.task == "multi-label"
        else {method: ConformalPredictor.fit(result.validated, method) for method in get_args(Method)}
    )
    header = next(iter(headers.values()))
    first = next(iter(headers))
    return Manifest(
        format_version=FORMAT_VERSION,
        folds="one" if isinstance(folds, int) else folds,
        selection=_explain_selection(result, folds),
        fold_digest=header["fold_digest"],
        card=File(path="card.json", sha256=compute_digest(target / "card.json")),
        network=_describe_network(source.fold(first), card, header),
        reading=card.reading_arguments(),
        class_names=card.display_names,
        task=card.task,
        activation=card.activation,
        batch_size=settings["batch_size"],
        precision=str(settings["amp"] or "float32"),
        members=tuple(_copy_member(source, target, result, fitted, fold) for fold in result.folds),
        unlike_missing="the images of the run were not looked at",
        figures=describe_result(result),
        operating_points_from=_explain_thresholds(result),
        versions=read_versions(_PACKAGES),
    )


def _copy_member(
    source: RunFolder,
    target: Path,
    result: CrossValidationResult,
    fitted: dict[Method, ConformalPredictor],
    fold: int,
) -> Member:
    weights = target / f"fold_{fold}.safetensors"
    write_bytes(weights, source.fold(fold).safetensors.read_bytes())
    return Member(
        fold=fold,
        weights=File(path=weights.name, sha256=compute_digest(weights)),
        temperature=result.calibration.temperatures[fold].value,
        validation_images=len(result.validated[fold]),
        conformal={method: _describe_known(predictor, fold) for method, predictor in fitted.items()},
    )


def _describe_known(predictor: ConformalPredictor, fold: int) -> Known:
    strangeness = np.asarray(predictor.strangeness[fold]).tolist()
    return Known(strangeness=tuple(strangeness), labels=tuple(np.asarray(predictor.labels[fold]).tolist()))


def _describe_network(fold: RunFolder, card: DatasetCard, header: dict[str, Any]) -> NetworkDescription:
    metadata = _read_json(fold.executed_config)["_meta_"]["network_data_format"]
    return NetworkDescription(
        name=header["network_name"],
        spatial_dims=card.spatial_dims,
        in_channels=metadata["inputs"]["image"]["num_channels"],
        num_classes=card.num_classes,
        image_size=header["image_size"],
        depths=header["depths"],
        channels=header["channels"],
    )


def _explain_selection(result: CrossValidationResult, folds: Folds) -> str:
    if folds == "finished" and result.missing:
        finished = ", ".join(map(str, result.folds))
        if len(result.folds) == 1:
            return f"fold {finished} of {result.num_folds}, the only one that has finished"
        return f"the finished folds {finished} of {result.num_folds}; the mean of their probabilities"
    if folds not in ("all", "finished"):
        (fold,) = result.folds
        best = ", whose AUC on its own validation part is the highest" if folds == "best" else ", chosen by its number"
        return f"fold {fold} of {result.num_folds}{best}"
    return f"all {result.num_folds} folds; the mean of their probabilities"


def _explain_thresholds(result: CrossValidationResult) -> str:
    if result.operating_points is None:
        return "none: the task has no positive class"
    if len(result.folds) == 1:
        return "the validation part of the fold"
    if result.combination == "ensemble":
        return "the validation parts of all folds together, each predicted by its own fold's network"
    return "the validation part of each fold, for that fold alone; there is none for the mean of the folds"


def _check_overrides(source: RunFolder, settings: dict[str, Any]) -> None:
    for name, value in settings.get("overrides", {}).items():
        if (name == "tta" and value) or (name == "scales" and list(value) != [1]):
            raise UserError(
                f"{source.settings}: the run was evaluated over several views of each image ({name} {value}), and a "
                "package judges each image once: its figures would be those of something else; evaluate it without "
                f"{name}"
            )
        if name.startswith(_READ_OTHERWISE):
            raise UserError(
                f"{source.settings}: the run changed {name!r} of the configs, which a package cannot hold: its "
                "predictions would be others; state it in the card, or train without it"
            )


def _check_header(path: Path, header: dict[str, Any], card: DatasetCard, fold_digest: str) -> None:
    expected = {
        "class_names": list(card.display_names),
        "reading": card.reading_arguments(),
        "fold_digest": fold_digest,
        "dataset": card.name,
    }
    for key, value in expected.items():
        if header.get(key) != value:
            raise UserError(
                f"{path}: was trained with {key} {header.get(key)!r}, but the run's card and folds say {value!r}: put "
                "the card back as it was"
            )


def _read_header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; the weights of the run were moved or removed")
    try:
        return dict(json.loads(read_safetensors_file(path)[1]["medmamba_monai"]))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read as weights of a run: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give the folder of a finished cross-validation") from error
