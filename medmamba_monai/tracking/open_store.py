"""Stores that must be there already, and what is said where one cannot be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from medmamba_monai.core.errors import UserError
from medmamba_monai.tracking.mlflow_store import check_tracking_uri, connect, list_store_errors, parse_sqlite_path
from medmamba_monai.tracking.private_values import hide_credentials
from medmamba_monai.tracking.store_problems import StoreProblem, ask, describe_store_error

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_store(tracking_uri: str) -> MlflowClient:
    """Open a store that must be there already.

    Raises:
        UserError: the SQLite file does not exist, the URI is none of a store, or the store does not answer.
    """
    uri = check_tracking_uri(tracking_uri)
    database = parse_sqlite_path(uri)
    if database is not None and not database.is_file():
        raise UserError(f"--tracking_uri {tracking_uri}: there is no {database}; run in its folder, or name the store")
    with explain_store_errors(tracking_uri):
        client = connect(uri)
        ask(client.search_experiments, max_results=1)
    return client


@contextlib.contextmanager
def explain_store_errors(tracking_uri: str) -> Iterator[None]:
    """Say in a line what keeps a store from being read, where MLflow and its database say it in pages.

    Raises:
        UserError: the store is away, locked or damaged, or something else answers.
    """
    problems: tuple[type[Exception], ...] = (StoreProblem, *list_store_errors())
    try:
        yield
    except UserError:
        raise
    except problems as error:
        raise UserError(
            f"--tracking_uri {hide_credentials(tracking_uri)}: cannot be read "
            f"({describe_store_error(error)}); is it running, and is nobody else using it?"
        ) from error
