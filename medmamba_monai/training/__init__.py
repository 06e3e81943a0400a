"""The parts of a training that MONAI lacks; what the bundles' configs name."""

from medmamba_monai.core.errors import explain_user_errors
from medmamba_monai.training.distributed import SyncBuffers, local_device, start_distributed
from medmamba_monai.training.ensemble import EnsembleLoader, ensemble_items, ensemble_networks, fold_weights
from medmamba_monai.training.guards import FiniteLoss, TrainingDiverged, check_options, resolve_device
from medmamba_monai.training.handlers.checkpoint import ResumableCheckpoint
from medmamba_monai.training.handlers.early_stop import EarlyStop
from medmamba_monai.training.handlers.epoch_score import EpochScore
from medmamba_monai.training.handlers.evaluation_report import EvaluationReport, InferenceWriter, evaluation_items
from medmamba_monai.training.handlers.progress import EpochProgress
from medmamba_monai.training.handlers.track_training import TrackTraining
from medmamba_monai.training.handlers.weight_average import WeightAverage
from medmamba_monai.training.inferers import AverageViews, view_inferer
from medmamba_monai.training.losses import FocalLoss, MultiLabelFocalLoss, class_weights, positive_weights
from medmamba_monai.training.optimizers import IterationSchedule, parameter_groups
from medmamba_monai.training.seeding import EpochSeeding, derive_seed, seed_everything
from medmamba_monai.training.weights import WeightsLoader, load_weights, save_weights, unwrap

__all__ = [
    "AverageViews",
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
    "TrainingDiverged",
    "WeightAverage",
    "WeightsLoader",
    "check_options",
    "class_weights",
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
    "save_weights",
    "seed_everything",
    "start_distributed",
    "unwrap",
    "view_inferer",
]
