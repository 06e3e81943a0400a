"""Why a store does not hold a run: it was deleted, the store is another one, or what answers is no MLflow."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.tracking.private_values import hide_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")

_DATABASE = re.compile(r"\((\w+\.)+\w+\) ")
_NO_JSON = "not in a valid JSON format"
"""What MLflow's client says of a page that is no answer of a server, such as that of a login."""


class StoreProblem(Exception):
    """What keeps a run out of a store; the message says what was found."""

    advice = "{command}"
    """What to do, where ``{command}`` is the one that sends the run later."""


class RunGoneError(StoreProblem):
    """The run is not in the store any more, so that nothing can be added to it."""

    advice = "Put it back, or send everything to a new run: {command} --new-run"


class ForeignServerError(StoreProblem):
    """Something answers that is no tracking server; what it was sent is nowhere."""

    advice = "Check the address (--tracking_uri), a proxy or a login before it; then send them: {command}"


class UnreachableStoreError(StoreProblem):
    """The store does not answer, is locked, full or damaged; it may take everything later."""

    advice = "Send them later: {command}"


def describe_store_error(error: BaseException) -> str:
    """Return in a line, without a password, what an exception of MLflow or its database says.

    Of the pages that SQLAlchemy writes it is the line with the database's own words.
    """
    lines = str(error).splitlines()
    own = next((line for line in lines if _DATABASE.match(line)), get_first_line(error))
    return hide_credentials(own)[:200]


def ask(function: Callable[_Arguments, _Answer], *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
    """Call a function of MLflow's client.

    Raises:
        ForeignServerError: the answer cannot be one of MLflow.
    """
    from google.protobuf.json_format import ParseError
    from mlflow.exceptions import MlflowException

    try:
        return function(*args, **kwargs)
    except UserError:
        raise
    except MlflowException as error:
        if _NO_JSON in str(error):
            raise ForeignServerError(f"the answer is no JSON ({get_first_line(error)[:120]})") from error
        raise
    except (ParseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ForeignServerError(f"the answer is not one of MLflow ({get_first_line(error)[:120]})") from error


def find_run(client: MlflowClient, run_id: str) -> Run:
    """Return a run that can be added to: the acknowledgement that a store holds it.

    Raises:
        RunGoneError: it was deleted, or the store does not know it.
        ForeignServerError: what answers is no store.
    """
    from mlflow.exceptions import MlflowException

    try:
        run: Any = ask(client.get_run, run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RunGoneError(f"run {run_id} does not exist there; the store is another one, or a new one") from error
    if run.info.run_id != run_id:
        raise ForeignServerError(f"asked for run {run_id} it answers something else")
    if run.info.lifecycle_stage == "deleted":
        raise RunGoneError(f"run {run_id} was deleted there")
    return run
