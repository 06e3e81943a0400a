"""Runs in MLflow, written to a local journal first; knows nothing of training."""

from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.mlflow_store import default_tracking_uri
from medmamba_monai.tracking.run import TrackedRun
from medmamba_monai.tracking.send import deliver, send_pending

__all__ = ["RunDataset", "TrackedRun", "default_tracking_uri", "deliver", "send_pending"]
