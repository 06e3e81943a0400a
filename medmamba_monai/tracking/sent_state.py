"""How much of a run's journal MLflow has, and where: the content of ``mlflow.json``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.journal_file import read_beginning

_KEYS = ("tracking_uri", "experiment", "run_id", "sent_bytes")
logger = logging.getLogger("medmamba_monai.tracking")


def read_state(folder: RunFolder, tracking_uri: str | None, experiment: str | None) -> dict[str, Any]:
    """Return the state of a run; of another store, experiment or journal than before it is that of a new run.

    Args:
        folder: of the run.
        tracking_uri: where it is sent; None takes what the file says.
        experiment: name of the experiment; None likewise.

    Raises:
        UserError: the folder holds no run whose store is known, or the file is damaged.
    """
    saved = read_saved_state(folder.mlflow_state)
    uri = tracking_uri or saved.get("tracking_uri")
    if not uri:
        raise UserError(f"{folder.path} holds no tracked run (no {folder.mlflow_state.name})")
    name = experiment or saved.get("experiment")
    same = (saved.get("tracking_uri"), saved.get("experiment")) == (uri, name)
    kept = saved if same else {}
    began, sent = read_beginning(folder.journal), kept.get("journal_began")
    if None not in (began, sent) and began != sent:
        logger.warning(f"{folder.journal} is another journal than the one that was sent; it becomes a new run")
        kept = {}
    return {
        "tracking_uri": uri,
        "experiment": name,
        "experiment_id": kept.get("experiment_id"),
        "run_id": kept.get("run_id"),
        "creating": kept.get("creating"),
        "creation": kept.get("creation"),
        "parent": kept.get("parent"),
        "parent_id": kept.get("parent_id"),
        "journal_began": began,
        "sent_bytes": kept.get("sent_bytes", 0),
        "skipped": kept.get("skipped", 0),
    }


def read_saved_state(path: Path) -> dict[str, Any]:
    """Read an ``mlflow.json``; empty where there is none.

    Raises:
        UserError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(saved, dict):
            raise ValueError(f"it holds a {type(saved).__name__}")
        if missing := [key for key in _KEYS if key not in saved]:
            raise ValueError(f"it has no {missing[0]}")
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path} is damaged, so that nobody knows which MLflow run this is ({get_first_line(error)}): put it back "
            "from a backup, or delete it; then the same command, or medmamba-monai send with --tracking_uri, sends "
            "everything to a new run"
        ) from error
    return saved
