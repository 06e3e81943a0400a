"""Creation of a run that a store has once, though it may have to be asked again."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from medmamba_monai.tracking.store_problems import ask

if TYPE_CHECKING:
    from mlflow import MlflowClient

CREATION_TAG = "medmamba.creation"
"""The tag by which a run is found again that a store made and did not answer for in time."""

DOUBTFUL_SECONDS = 5.0
"""A store that took longer may have been asked twice, by MLflow's client or before: it may have made two runs."""

logger = logging.getLogger("medmamba_monai.tracking")


def create_run_once(
    client: MlflowClient,
    experiment: str,
    state: dict[str, Any],
    save: Callable[[], None],
    tags: Mapping[str, str],
    **run: Any,
) -> str:
    """Create a run, or find the one that an earlier try made; returns its id.

    Args:
        client: of the store.
        experiment: id of its experiment.
        state: content of ``mlflow.json``: ``creating`` is set while a run is asked for, ``creation`` where the store
            may have made more than one.
        save: writes it.
        tags: of the run.
        run: more of it, as ``create_run`` of MLflow's client takes it.
    """
    key, is_doubtful = state["creating"], state["creating"] is not None
    made = _find(client, experiment, key) if is_doubtful else []
    if made:
        for name, value in tags.items():
            ask(client.set_tag, made[0], name, value)
    else:
        key = state["creating"] = key or uuid.uuid4().hex
        save()
        began = time.monotonic()
        answer = ask(client.create_run, experiment, tags={**tags, CREATION_TAG: key}, **run)
        is_doubtful = is_doubtful or time.monotonic() - began > DOUBTFUL_SECONDS
        made = [str(answer.info.run_id)]
    state.update(creating=None, creation=key if is_doubtful else None)
    return made[0]


def delete_doubles(client: MlflowClient, state: dict[str, Any]) -> None:
    """Delete runs that a slow store made of the same beginning; nothing was ever sent to them."""
    if state["creation"] is None:
        return
    for run_id in _find(client, state["experiment_id"], state["creation"]):
        if run_id != state["run_id"]:
            ask(client.delete_run, run_id)
            logger.info(f"run {run_id} was made twice by a slow store, and is deleted; {state['run_id']} is the run")


def _find(client: MlflowClient, experiment: str, creation: str) -> list[str]:
    found: Any = ask(client.search_runs, [experiment], f"tags.`{CREATION_TAG}` = '{creation}'")
    return [str(run.info.run_id) for run in found]
