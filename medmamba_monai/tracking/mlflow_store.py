"""Connections to an MLflow server or SQLite store, bounded in time, and the experiments in it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import make_file_name
from medmamba_monai.tracking.private_values import hide_credentials
from medmamba_monai.tracking.store_problems import ForeignServerError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"
"""The tag by which MLflow knows the parent of a run."""

_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tags of a new experiment: MLflow's name for one that holds trainings, not language models."""


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client whose calls to a server that is away end within seconds, not minutes.

    A SQLite store's tables are made here, by one process at a time: several that open a fresh store at once
    would corrupt it.
    """
    if tracking_uri.startswith("http"):
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    # what goes wrong is raised, too, and said by the caller in a line instead of pages
    logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)
    database = parse_sqlite_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri=tracking_uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        return MlflowClient(tracking_uri=tracking_uri)


def list_store_errors() -> tuple[type[Exception], ...]:
    """Return what calls to a store raise when it is away, locked or damaged."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, requests.RequestException, SQLAlchemyError, OSError


def format_experiment_page(tracking_uri: str, experiment_id: str) -> str | None:
    """Return the address at which MLflow's UI opens an experiment on its runs; None for a store without one.

    MLflow 3.17 opens an experiment on a page for language models, whatever the experiment's tags say, until the
    browser is told otherwise by a switch or by this address.

    Args:
        tracking_uri: of the store; for SQLite the address is that of ``mlflow ui`` with its default port.
        experiment_id: of the experiment.
    """
    local = parse_sqlite_path(tracking_uri) is not None
    server = "http://127.0.0.1:5000" if local else hide_credentials(tracking_uri).rstrip("/")
    page = f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    return page if server.startswith("http") else None


def parse_sqlite_path(tracking_uri: str) -> Path | None:
    """Return the absolute database file of a ``sqlite:///`` URI; None for any other store."""
    prefix = "sqlite:///"
    return Path(tracking_uri[len(prefix) :]).absolute() if tracking_uri.startswith(prefix) else None


def default_tracking_uri(folder: str | Path) -> str:
    """Return the store where none is given: ``$MLFLOW_TRACKING_URI``, or ``mlruns.db`` in a folder."""
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{Path(folder).absolute()}/mlruns.db")


def check_tracking_uri(tracking_uri: str) -> str:
    """Return the URI with a SQLite path made absolute.

    Raises:
        UserError: it is neither SQLite nor a server; MLflow's file stores are not offered because MLflow retires them.
    """
    database = parse_sqlite_path(tracking_uri)
    if database is not None:
        return f"sqlite:///{database}"
    if tracking_uri.startswith(("http://", "https://", "databricks", "postgresql", "mysql", "mssql")):
        return tracking_uri
    raise UserError(
        f"--tracking_uri {tracking_uri!r} is not a tracking store; use sqlite:///mlruns.db or http://host:port"
    )


def find_or_create_experiment(client: MlflowClient, tracking_uri: str, name: str) -> str:
    """Return an experiment's id; where there is none it is created, with artifacts beside a SQLite database.

    Raises:
        UserError: the experiment was deleted.
        ForeignServerError: what answers is no store.
    """
    from mlflow.exceptions import MlflowException

    found: Any = client.get_experiment_by_name(name)
    if found is None:
        database = parse_sqlite_path(tracking_uri)
        location = (database.parent / "mlartifacts" / make_file_name(name)).as_uri() if database else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=_MODEL_TRAINING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            return str(found.experiment_id)
    if found.name != name:
        raise ForeignServerError(f"asked for experiment {name!r} it answers something else")
    if found.lifecycle_stage == "deleted":
        store = hide_credentials(tracking_uri)
        raise UserError(f"experiment {name!r} was deleted in {store}: restore it, or pass --experiment_name")
    return str(found.experiment_id)
