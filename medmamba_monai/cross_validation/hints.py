"""The last lines of a cross-validation: the command that makes it again, and where everything is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.private_values import hide_private_values
from medmamba_monai.training.handlers.epoch_progress import format_seconds
from medmamba_monai.training.weights import format_option


def format_command(
    parameters: Mapping[str, Any], bundle_root: Path, config_files: Sequence[str], overrides: Mapping[str, Any]
) -> str:
    """Return the command that makes a run again in the bundle's folder, without the folders of this machine.

    Args:
        parameters: what the command says by name.
        bundle_root: folder of the bundle.
        config_files: training configs, relative to it; of those outside only the name is told.
        overrides: further values of the training config.
    """
    options = [f"--{key} {format_option(value)}" for key, value in parameters.items()]
    if list(config_files) != ["configs/train.json"]:
        within = [(bundle_root / name).resolve().is_relative_to(bundle_root) for name in config_files]
        names = [name if inside else Path(name).name for name, inside in zip(config_files, within, strict=True)]
        options.append(f"--config_files {format_option(names)}")
    if overrides:
        options.append(f"--overrides {format_option(hide_private_values(overrides))}")
    head = "python -m monai.bundle run cross_validation --config_file configs/cross_validation.json"
    return " \\\n    ".join([head, *options])


def describe_results(
    parameters: Mapping[str, Any],
    bundle_root: Path,
    output_dir: Path,
    run_id: str | None,
    page: str | None,
    finished: Sequence[int],
    seconds: float,
    with_weights: bool = True,
    with_records: bool = False,
) -> str:
    """Return where the results are, and the commands that review them and classify images with them.

    Args:
        parameters: of the training, by name.
        bundle_root: folder of the bundle.
        output_dir: folder of the cross-validation.
        run_id: of the parent run in MLflow; None where it was not sent.
        page: address of its experiment in MLflow's UI; None where there is none.
        finished: numbers of the finished folds.
        seconds: how long it took.
        with_weights: whether the folds left weights; a probe of frozen features leaves none.
        with_records: whether the networks are given clinical records, which a folder of images does not have.
    """
    uri, folder = parameters["tracking_uri"], RunFolder(output_dir)
    lines = [
        f"time         {format_seconds(seconds)}",
        *([f"weights      {output_dir}/fold_*/{folder.safetensors.name} (and {folder.weights.name})"] * with_weights),
        f"predictions  {output_dir}/fold_*/{folder.predictions.name} and *_predictions.csv beside the folds",
        *([f"report       {folder.report}"] if finished else []),
        f"MLflow run   {run_id or 'not sent yet: medmamba-monai send ' + str(output_dir)}",
    ]
    if page is not None:
        begin = f"mlflow ui --backend-store-uri {shlex.quote(uri)}   then open " if uri.startswith("sqlite") else ""
        lines.append(f"review       {begin}{page}")
    if finished and with_weights and not with_records:
        names = [key for key in ("image_size", "network_name", "depths", "channels") if parameters[key] is not None]
        architecture = " ".join(f"--{key} {format_option(parameters[key])}" for key in names)
        lines.append(
            "classify     python -m monai.bundle run inference "
            f"--config_file {shlex.quote(str(bundle_root / 'configs' / 'inference.json'))} "
            f"--bundle_root {shlex.quote(str(bundle_root))} "
            f"--ckpt_path {shlex.quote(str(folder.fold(finished[0]).weights))} {architecture} "
            "--dataset_dir FOLDER_OF_IMAGES"
        )
    return "\n".join(lines)
