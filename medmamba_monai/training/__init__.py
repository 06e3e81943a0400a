"""The parts of a training that MONAI lacks; what the bundles' configs name."""

from medmamba_monai.core.device import resolve_device
from medmamba_monai.core.errors import explain_user_errors
from medmamba_monai.core.names import make_file_name
from medmamba_monai.training.distributed import find_local_device, has_begun, start_distributed
from medmamba_monai.training.ensemble import copy_networks, list_fold_weights, select_ensemble_items
from medmamba_monai.training.execution import Execution, choose_execution
from medmamba_monai.training.handlers.early_stop import EarlyStop
from medmamba_monai.training.handlers.ensemble_loader import EnsembleLoader
from medmamba_monai.training.handlers.epoch_progress import EpochProgress
from medmamba_monai.training.handlers.epoch_score import EpochScore
from medmamba_monai.training.handlers.epoch_seeding import EpochSeeding
from medmamba_monai.training.handlers.evaluation_report import EvaluationReport, select_evaluation_items
from medmamba_monai.training.handlers.finite_loss import FiniteLoss, TrainingDiverged
from medmamba_monai.training.handlers.given_weights import GivenWeights
from medmamba_monai.training.handlers.inference_writer import InferenceWriter
from medmamba_monai.training.handlers.iteration_schedule import IterationSchedule
from medmamba_monai.training.handlers.pause_training import PauseTraining
from medmamba_monai.training.handlers.precise_batch_norm import PreciseBatchNorm
from medmamba_monai.training.handlers.resumable_checkpoint import ResumableCheckpoint
from medmamba_monai.training.handlers.starting_weights import StartingWeights
from medmamba_monai.training.handlers.sync_buffers import SyncBuffers
from medmamba_monai.training.handlers.track_training import TrackTraining
from medmamba_monai.training.handlers.weight_average import WeightAverage
from medmamba_monai.training.handlers.weights_checkpoint_loader import WeightsCheckpointLoader
from medmamba_monai.training.inferers import AverageScales, AverageViews, NetworkInferer, choose_inferer, find_read_size
from medmamba_monai.training.losses import (
    FocalLoss,
    MultiLabelFocalLoss,
    compute_class_weights,
    compute_loss_weights,
    compute_positive_weights,
    make_loss,
)
from medmamba_monai.training.optimizers import group_parameters
from medmamba_monai.training.options import (
    EvaluationOptions,
    InferenceOptions,
    TrainingOptions,
    collect_parameters,
    collect_settings,
    describe_weights,
)
from medmamba_monai.training.seeding import derive_seed, seed_everything
from medmamba_monai.training.self_supervised.objectives import ContrastiveViews, MaskedImages, make_objective
from medmamba_monai.training.self_supervised.options import PretrainingOptions
from medmamba_monai.training.self_supervised.unlabelled import find_unlabelled
from medmamba_monai.training.titles import format_title
from medmamba_monai.training.views import make_views
from medmamba_monai.training.weights import load_weights, save_weights, unwrap

__all__ = [
    "AverageScales",
    "AverageViews",
    "ContrastiveViews",
    "EarlyStop",
    "EnsembleLoader",
    "EpochProgress",
    "EpochScore",
    "EpochSeeding",
    "EvaluationOptions",
    "EvaluationReport",
    "Execution",
    "FiniteLoss",
    "FocalLoss",
    "GivenWeights",
    "InferenceOptions",
    "InferenceWriter",
    "IterationSchedule",
    "MaskedImages",
    "MultiLabelFocalLoss",
    "NetworkInferer",
    "PauseTraining",
    "PreciseBatchNorm",
    "PretrainingOptions",
    "ResumableCheckpoint",
    "StartingWeights",
    "SyncBuffers",
    "TrackTraining",
    "TrainingDiverged",
    "TrainingOptions",
    "WeightAverage",
    "WeightsCheckpointLoader",
    "choose_execution",
    "choose_inferer",
    "collect_parameters",
    "collect_settings",
    "compute_class_weights",
    "compute_loss_weights",
    "compute_positive_weights",
    "copy_networks",
    "derive_seed",
    "describe_weights",
    "explain_user_errors",
    "find_local_device",
    "find_read_size",
    "find_unlabelled",
    "format_title",
    "group_parameters",
    "has_begun",
    "list_fold_weights",
    "load_weights",
    "make_file_name",
    "make_loss",
    "make_objective",
    "make_views",
    "resolve_device",
    "save_weights",
    "seed_everything",
    "select_ensemble_items",
    "select_evaluation_items",
    "start_distributed",
    "unwrap",
]
