"""A package and each of its folds as logged models of MLflow, linked to the run that made them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.package import Manifest, Package, write_package
from medmamba_monai.package.manifest import MANIFEST, compute_digest
from medmamba_monai.serving.origin import check_origin, choose_store
from medmamba_monai.serving.save import save_mlflow_model
from medmamba_monai.tracking.open_store import explain_store_errors, open_store
from medmamba_monai.tracking.sent_state import read_saved_state
from medmamba_monai.tracking.store_problems import ask, find_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENSEMBLE = "ensemble"
"""Name of the model that is the mean of the folds."""

FOLD_METRICS = ("test/", "validation_best/", "best/")
"""How the metrics of a fold's run begin that are of its weights."""

ENSEMBLE_METRICS = ("ensemble/", "ensemble_interval/", "calibrated/")
"""The same of the run of the cross-validation; without an official test set it has none of the first."""

_DIGEST_TAG = "package_sha256"
_CODE_TAG = "with_code"
_NOTE_TAG = "mlflow.note.content"
"""What MLflow's pages show as the description."""

_VERSIONS_TAG = "mlflow.modelVersions"
"""By which MLflow's pages lead from a logged model to its registered versions."""


@dataclass(frozen=True)
class LoggedPackage:
    """What MLflow holds of a package.

    Attributes:
        tracking_uri: of the store.
        models: id of each logged model, by its name: ``fold-0``, ..., ``ensemble``.
        version: name and number of the registered version, such as ``chest/3``; empty where none was asked for.
    """

    tracking_uri: str
    models: Mapping[str, str]
    version: str = ""

    @property
    def uri(self) -> str:
        """What to serve: the registered version, or the model of the whole package, which is logged last."""
        return f"models:/{self.version or list(self.models.values())[-1]}"


@dataclass(frozen=True)
class _Part:
    """A package that becomes one logged model, and the run it is of."""

    name: str
    folder: Path
    manifest: Manifest
    run_id: str
    metrics: tuple[str, ...]
    note: str
    tags: dict[str, str] = field(default_factory=dict)


def log_package(
    package: str | os.PathLike[str],
    run: str | os.PathLike[str],
    tracking_uri: str = "",
    register: str = "",
    with_code: bool = False,
) -> LoggedPackage:
    """Log a package as models of MLflow: each of its folds in the fold's run, the mean in the run of all.

    What is in the store already stays as it is and is not logged again.

    Args:
        package: its folder.
        run: folder of the cross-validation that it was made of.
        tracking_uri: the store that holds the run; needed where that is a server, which gets the weights.
        register: name under which the model of the whole package is registered; empty for none.
        with_code: copy the code of this Python package into the models.

    Raises:
        UserError: the package is not of the run, the run is in no store or in another one, or the store is away.
    """
    opened, source = Package.open(package), RunFolder(run)
    check_origin(opened, source)
    uri = choose_store(source, tracking_uri)
    client = open_store(uri)
    with explain_store_errors(uri), tempfile.TemporaryDirectory() as work:
        if register:
            _reserve(client, register)
        parts = list(_list_parts(opened, Path(package), source, Path(work)))
        models = {part.name: _log(client, part, Path(work), with_code) for part in parts}
        last = parts[-1]
        version = _register(client, register, models[last.name], last) if register else ""
    return LoggedPackage(uri, models, version)


def _list_parts(package: Package, folder: Path, source: RunFolder, work: Path) -> Iterator[_Part]:
    """Name what becomes a model; the whole package comes last."""
    manifest, use = package.manifest, package.card.intended_use
    folds = [member.fold for member in manifest.members]
    for fold in folds:
        name = f"fold-{fold}"
        alone = len(folds) == 1
        part = manifest if alone else write_package(source, work / name, fold, look_at_images=False).manifest
        run_id, note = _find_run_id(source.fold(fold)), f"{part.selection}. {use}"
        yield _Part(name, folder if alone else work / name, part, run_id, FOLD_METRICS, note, {"fold": str(fold)})
    if len(folds) > 1:
        note = f"{manifest.selection}. {use}"
        yield _Part(ENSEMBLE, folder, manifest, _find_run_id(source), ENSEMBLE_METRICS, note)


def _find_run_id(folder: RunFolder) -> str:
    run_id = read_saved_state(folder.mlflow_state).get("run_id")
    if not run_id:
        raise UserError(f"{folder.path}: is not in MLflow yet; send it: medmamba-monai send {folder.path}")
    return str(run_id)


def _log(client: MlflowClient, part: _Part, work: Path, with_code: bool) -> str:
    """Return the id of the logged model of a part."""
    run = find_run(client, part.run_id)
    tags = {
        **part.tags,
        _DIGEST_TAG: compute_digest(part.folder / MANIFEST),
        _CODE_TAG: str(with_code),
        _NOTE_TAG: part.note,
    }
    if known := _find_logged(client, run, tags):
        return known
    params = {name: str(value) for name, value in part.manifest.network.model_dump().items() if value is not None}
    made = ask(client.create_logged_model, run.info.experiment_id, part.name, part.run_id, tags, params)
    try:
        _send(client, part, made.model_id, work / f"{part.name}.mlflow", with_code)
        _link(client, run, part, made.model_id)
    except BaseException:
        ask(client.finalize_logged_model, made.model_id, "FAILED")
        raise
    ask(client.finalize_logged_model, made.model_id, "READY")
    return str(made.model_id)


def _find_logged(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> str | None:
    found = ask(
        client.search_logged_models,
        [run.info.experiment_id],
        f"source_run_id = '{run.info.run_id}' AND tags.{_DIGEST_TAG} = '{tags[_DIGEST_TAG]}'",
    )
    same = (one for one in found if one.status == "READY" and one.tags.get(_CODE_TAG) == tags[_CODE_TAG])
    return next((str(one.model_id) for one in same), None)


def _send(client: MlflowClient, part: _Part, model_id: str, target: Path, with_code: bool) -> None:
    from mlflow.models import Model

    model = Model(run_id=part.run_id, model_id=model_id)
    save_mlflow_model(part.folder, part.manifest, target, model, with_code)
    ask(client.log_model_artifacts, model_id, str(target))


def _link(client: MlflowClient, run: Run, part: _Part, model_id: str) -> None:
    """Tell the run that the model is its own, and the model which of the run's metrics and which dataset are."""
    from mlflow.entities import LoggedModelOutput, Metric

    ask(client.log_outputs, part.run_id, [LoggedModelOutput(model_id, 0)])
    dataset = run.inputs.dataset_inputs[0].dataset if run.inputs and run.inputs.dataset_inputs else None
    found = [key for key in run.data.metrics if key.startswith(part.metrics)]
    if part.name == ENSEMBLE and not any(key.startswith(f"{ENSEMBLE}/") for key in found):
        return  # the figures are of the folds one by one; the mean was never tested
    latest = [ask(client.get_metric_history, part.run_id, key)[-1] for key in found]
    metrics = [
        Metric(
            one.key,
            one.value,
            one.timestamp,
            one.step,
            model_id,
            dataset.name if dataset else None,
            dataset.digest if dataset else None,
            part.run_id,
        )
        for one in latest
    ]
    ask(client.log_batch, part.run_id, metrics=metrics)


def _reserve(client: MlflowClient, name: str) -> None:
    """Make a registered model of this name, where there is none.

    Raises:
        UserError: it is no name for one.
    """
    from mlflow.exceptions import MlflowException

    try:
        ask(client.create_registered_model, name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise UserError(f"--register {name!r}: MLflow does not take this name ({error.message})") from error


def _register(client: MlflowClient, name: str, model_id: str, part: _Part) -> str:
    """Return name and number of the version that is this model."""
    # by its location: a SQLite store looks an address models:/ up in whatever store the environment names
    source = ask(client.get_logged_model, model_id).artifact_location
    for known in ask(client.search_model_versions, f"name = '{name}'"):
        if known.source == source:
            return f"{name}/{known.version}"
    made = ask(client.create_model_version, name, source, part.run_id, description=part.note, model_id=model_id)
    versions = json.dumps([{"name": name, "version": str(made.version)}])
    ask(client.set_logged_model_tags, model_id, {_VERSIONS_TAG: versions})
    return f"{name}/{made.version}"
