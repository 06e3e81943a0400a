"""What MLflow holds of one cross-validation, asked through its client."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run


class TrackedRuns:
    """The runs of one cross-validation in a SQLite file or on a server."""

    def __init__(self, store: Path | str) -> None:
        self.client = MlflowClient(f"sqlite:///{store}" if isinstance(store, Path) else store)
        experiment = self.client.get_experiment_by_name("Phantom")
        runs = self.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
        self.parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        self.children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]

    def statuses(self) -> dict[str, str]:
        return {run.info.run_name: run.info.status for run in (*self.parents, *self.children)}

    def history(self, run: Run, key: str) -> list[float]:
        points = sorted(self.client.get_metric_history(run.info.run_id, key), key=lambda point: point.step)
        return [point.value for point in points]

    def artifacts(self, run: Run) -> set[str]:
        found, folders = set(), [None]
        while folders:
            for file in self.client.list_artifacts(run.info.run_id, folders.pop()):
                (folders.append if file.is_dir else found.add)(file.path)
        return found
