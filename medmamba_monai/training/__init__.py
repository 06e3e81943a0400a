"""Ignite handlers that MONAI lacks, and the cross-validation workflow; what the bundles' configs name."""

from medmamba_monai.errors import explain_user_errors
from medmamba_monai.training.checkpoint import ResumableCheckpoint
from medmamba_monai.training.cross_validation import CrossValidation
from medmamba_monai.training.distributed import SyncBuffers, local_device, start_distributed
from medmamba_monai.training.early_stopping import EarlyStop
from medmamba_monai.training.evaluation_report import EvaluationReport, InferenceWriter, evaluation_items
from medmamba_monai.training.guards import FiniteLoss, TrainingDiverged, check_options, resolve_device
from medmamba_monai.training.mlflow_store import send_pending
from medmamba_monai.training.progress import EpochProgress
from medmamba_monai.training.scores import EpochScore
from medmamba_monai.training.seeding import EpochSeeding, derive_seed, seed_everything
from medmamba_monai.training.tracking import TrackedRun, TrackTraining
from medmamba_monai.training.weights import WeightsLoader, load_weights, save_weights

__all__ = [
    "CrossValidation",
    "EarlyStop",
    "EpochProgress",
    "EpochScore",
    "EpochSeeding",
    "EvaluationReport",
    "FiniteLoss",
    "InferenceWriter",
    "ResumableCheckpoint",
    "SyncBuffers",
    "TrackTraining",
    "TrackedRun",
    "TrainingDiverged",
    "WeightsLoader",
    "check_options",
    "derive_seed",
    "evaluation_items",
    "explain_user_errors",
    "load_weights",
    "local_device",
    "resolve_device",
    "save_weights",
    "seed_everything",
    "send_pending",
    "start_distributed",
]
