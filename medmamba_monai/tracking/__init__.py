"""Runs in MLflow, written to a local journal first; knows nothing of training."""

from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.journal_sender import send_pending
from medmamba_monai.tracking.mlflow_store import default_tracking_uri
from medmamba_monai.tracking.run import TrackedRun

__all__ = ["RunDataset", "TrackedRun", "default_tracking_uri", "send_pending"]
