"""Ignite handlers that MONAI lacks, and the cross-validation workflow; what the bundles' configs name."""

from medmamba_monai.errors import explain_user_errors
from medmamba_monai.training.averaging import WeightAverage
from medmamba_monai.training.checkpoint import ResumableCheckpoint
from medmamba_monai.training.compare_runs import compare_runs
from medmamba_monai.training.cross_validation import CrossValidation
from medmamba_monai.training.distributed import SyncBuffers, local_device, start_distributed
from medmamba_monai.training.early_stopping import EarlyStop
from medmamba_monai.training.ensemble import EnsembleLoader, ensemble_items, ensemble_networks, fold_weights
from medmamba_monai.training.evaluation_report import EvaluationReport, InferenceWriter, evaluation_items
from medmamba_monai.training.guards import FiniteLoss, TrainingDiverged, check_options, resolve_device
from medmamba_monai.training.losses import FocalLoss, MultiLabelFocalLoss, class_weights, positive_weights
from medmamba_monai.training.mlflow_store import send_pending
from medmamba_monai.training.progress import EpochProgress
from medmamba_monai.training.review_again import review_again
from medmamba_monai.training.schedules import IterationSchedule, parameter_groups
from medmamba_monai.training.scores import EpochScore
from medmamba_monai.training.seeding import EpochSeeding, derive_seed, seed_everything
from medmamba_monai.training.tracking import TrackedRun, TrackTraining
from medmamba_monai.training.views import AverageViews, view_inferer
from medmamba_monai.training.weights import WeightsLoader, load_weights, save_weights, unwrap

__all__ = [
    "AverageViews",
    "CrossValidation",
    "EarlyStop",
    "EnsembleLoader",
    "EpochProgress",
    "EpochScore",
    "EpochSeeding",
    "EvaluationReport",
    "FiniteLoss",
    "FocalLoss",
    "InferenceWriter",
    "IterationSchedule",
    "MultiLabelFocalLoss",
    "ResumableCheckpoint",
    "SyncBuffers",
    "TrackTraining",
    "TrackedRun",
    "TrainingDiverged",
    "WeightAverage",
    "WeightsLoader",
    "check_options",
    "class_weights",
    "compare_runs",
    "derive_seed",
    "ensemble_items",
    "ensemble_networks",
    "evaluation_items",
    "explain_user_errors",
    "fold_weights",
    "load_weights",
    "local_device",
    "parameter_groups",
    "positive_weights",
    "resolve_device",
    "review_again",
    "save_weights",
    "seed_everything",
    "send_pending",
    "start_distributed",
    "unwrap",
    "view_inferer",
]
