"""Runs in MLflow, written to a local journal first; knows nothing of training."""

from medmamba_monai.tracking.mlflow_store import send_pending
from medmamba_monai.tracking.run import TrackedRun

__all__ = ["TrackedRun", "send_pending"]
