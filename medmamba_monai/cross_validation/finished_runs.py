"""Finished cross-validations of an MLflow store, read back by name or id."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError, get_first_line
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.shortcuts import FACTS_AUC
from medmamba_monai.evaluation import CrossValidationResult, read_predictions
from medmamba_monai.evaluation.predictions import COMBINATIONS
from medmamba_monai.evaluation.results.comparison import INPUTS, FactsAuc, Inputs
from medmamba_monai.evaluation.scores import TASKS
from medmamba_monai.evaluation.statistics.resampling import Interval
from medmamba_monai.tracking.mlflow_store import PARENT_TAG
from medmamba_monai.tracking.private_values import hide_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class FinishedRun:
    """A finished cross-validation.

    Attributes:
        run_id: of the parent run.
        name: of the parent run.
        experiment_id: its experiment.
        dataset: short name of the dataset.
        fold_digest: SHA-256 of what decides who is in which fold.
        result: made of the predictions of its folds.
        facts: how well facts of the files alone tell the classes; None where the run was not told.
        inputs: what its models are given of a case.
    """

    run_id: str
    name: str
    experiment_id: str
    dataset: str
    fold_digest: str
    result: CrossValidationResult
    facts: FactsAuc | None = None
    inputs: Inputs = "image"

    @property
    def identity(self) -> dict[str, object]:
        """What must agree of runs that are compared."""
        return {
            "dataset": self.dataset,
            "fold_digest": self.fold_digest,
            "task": self.result.task,
            "combination": self.result.combination,
            "class_names": self.result.class_names,
        }


def read_finished_run(client: MlflowClient, name_or_id: str) -> FinishedRun:
    """Read the result of a cross-validation from the predictions of its folds.

    Args:
        client: of the store, from `open_store`.
        name_or_id: of the parent run.

    Raises:
        UserError: there is no such run, several have the name, it is no cross-validation, or folds are missing.
    """
    parent = _find(client, name_or_id)
    children = _find_newest_children(client, parent)
    num_folds = int(parent.data.params.get("num_folds", 0))
    if missing := sorted(set(range(num_folds)) - set(children)):
        raise UserError(
            f"{_name_run(parent)}: folds {missing} have not finished; "
            "start its cross-validation again to go on with them"
        )
    with tempfile.TemporaryDirectory() as folder:
        result = _read_result(client, parent, children, Path(folder))
    return FinishedRun(
        run_id=parent.info.run_id,
        name=parent.info.run_name,
        experiment_id=parent.info.experiment_id,
        dataset=parent.data.tags["dataset"],
        fold_digest=parent.data.tags["fold_digest"],
        result=result,
        facts=_read_facts(parent),
        inputs=check_choice(parent.data.tags.get("inputs", "image"), INPUTS, "inputs"),
    )


def _read_result(client: MlflowClient, parent: Run, children: Mapping[int, Run], folder: Path) -> CrossValidationResult:
    files = RunFolder(folder)
    saved = json.loads(_download(client, parent, files.review.name, folder).read_text(encoding="utf-8"))
    task, class_names = check_choice(saved["task"], TASKS, "task"), tuple(saved["class_names"])
    folds = {
        fold: read_predictions(_download(client, child, files.predictions.name, folder), task, class_names)
        for fold, child in sorted(children.items())
    }
    return CrossValidationResult(
        task, class_names, check_choice(saved["combination"], COMBINATIONS, "combination"), len(folds), folds
    )


def _read_facts(parent: Run) -> FactsAuc | None:
    values = [parent.data.metrics.get(f"{FACTS_AUC}{limit}") for limit in ("", "_low", "_high")]
    found = [value for value in values if value is not None]
    return FactsAuc(found[0], Interval(found[1], found[2])) if len(found) == len(values) else None


def _find(client: MlflowClient, name_or_id: str) -> Run:
    parents = _list_parents(client)
    found = [run for run in parents if name_or_id in (run.info.run_name, run.info.run_id)]
    if len(found) > 1:
        listed = "; ".join(map(_name_run, found))
        raise UserError(f"{len(found)} cross-validations are called {name_or_id}: name one by its id: {listed}")
    if not found:
        known = ", ".join(sorted({run.info.run_name for run in parents}))
        raise UserError(
            f"no cross-validation has the name or id {name_or_id!r} in this store; it holds: {known or 'none'}"
        )
    return found[0]


def _list_parents(client: MlflowClient) -> list[Run]:
    """List every cross-validation of the store, those within a search too."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found, token = [], None
    while True:
        page = client.search_runs(experiments, page_token=token)
        found += [run for run in page if "fold_digest" in run.data.tags and "fold" not in run.data.tags]
        token = page.token
        if not token:
            return [run for run in found if "num_folds" in run.data.params]


def _find_newest_children(client: MlflowClient, parent: Run) -> dict[int, Run]:
    """Find finished children by fold; where a fold was trained anew, the newest."""
    children = client.search_runs(
        [parent.info.experiment_id],
        f"tags.`{PARENT_TAG}` = '{parent.info.run_id}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    return {int(child.data.tags["fold"]): child for child in children}


def _download(client: MlflowClient, run: Run, name: str, folder: Path) -> Path:
    from mlflow.exceptions import MlflowException

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = folder / run.info.run_id
    target.mkdir(exist_ok=True)
    try:
        return Path(client.download_artifacts(run.info.run_id, name, str(target)))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"{_name_run(run)} has no {name} ({hide_credentials(get_first_line(error))[:200]}); a run that was "
            "made before the review existed gets it by: medmamba-monai review FOLDER_OF_THE_CROSS_VALIDATION"
        ) from error


def _name_run(run: Run) -> str:
    began = datetime.fromtimestamp(run.info.start_time / 1000, tz=timezone.utc)
    return f"run {run.info.run_name!r} ({run.info.run_id}, begun {began:%Y-%m-%d %H:%M} UTC)"
