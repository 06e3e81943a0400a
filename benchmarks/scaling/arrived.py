"""Whether a store has all that folds logged, once what was refused has been sent later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.scaling.folds import FIGURES, METRICS, PARAMETERS
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.tracking.journal_file import read_lines
from medmamba_monai.tracking.journal_sender import JournalSender
from medmamba_monai.tracking.mlflow_store import PARENT_TAG, connect


def send_rest(folder: Path, number: int) -> dict[str, int]:
    """Send later what folds could not, as ``medmamba-monai send`` does, and compare the store with the journals.

    Args:
        folder: of the cross-validation.
        number: of its folds.

    Returns:
        ``left``: folds of which something was to be sent later; ``missing``: epochs, parameters, artifacts and ends
        that are in no run all the same; ``doubled``: runs that no fold knows as its own.
    """
    parent, folds = JournalSender(folder), [folder / f"fold_{index}" for index in range(number)]
    client = connect(parent.state["tracking_uri"])
    left = missing = 0
    for fold in folds:
        sender = JournalSender(fold)
        left += sender.count_pending() > 0
        sender.send()
        missing += _count_missing(client, sender.run_id, RunFolder(fold).journal)
    ours = f"tags.`{PARENT_TAG}` = '{parent.run_id}'"
    runs: Sequence[Any] = client.search_runs([parent.state["experiment_id"]], ours, max_results=10 * number)
    return {"left": left, "missing": missing, "doubled": len(runs) - number}


def _count_missing(client: Any, run_id: str | None, journal: Path) -> int:
    epochs = sum(1 for line in read_lines(journal) if line["op"] == "metrics" and METRICS[0] in line["values"])
    expected = epochs + PARAMETERS + FIGURES + 2
    if run_id is None:
        return expected
    run = client.get_run(run_id)
    artifacts = sum(len(client.list_artifacts(run_id, place)) for place in ("weights", "figures"))
    found = len(client.get_metric_history(run_id, METRICS[0])) + len(run.data.params) + artifacts
    return expected - found - (run.info.status == "FINISHED")
