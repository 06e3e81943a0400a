"""From saved probabilities to numbers, tables and figures: no network, no training, no tracking.

Rooms, each of which knows only those before it: `scores` and `predictions`; `metrics` (one catalogue, one row a
metric); `statistics` (intervals, tests, thresholds); `results` (what a cross-validation or a comparison found);
`figures`; `reports`. Beside the last three `answers`: what is said of images whose class is not known.
"""

from medmamba_monai.evaluation.metrics.calibration import trace_reliability_curve
from medmamba_monai.evaluation.metrics.catalogue import CATALOGUE, METRICS, Metric, list_metrics
from medmamba_monai.evaluation.metrics.compute import compute_class_metrics, compute_metrics
from medmamba_monai.evaluation.predictions import (
    Combination,
    Predictions,
    combine,
    ensemble,
    pool,
    read_predictions,
    write_predictions,
)
from medmamba_monai.evaluation.results.comparison import Comparison, Model, compare
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult, evaluate_folds
from medmamba_monai.evaluation.results.files import read_result
from medmamba_monai.evaluation.scores import TASKS, Scores, Task, predict_labels
from medmamba_monai.evaluation.statistics.abstention import trace_abstention
from medmamba_monai.evaluation.statistics.bootstrap import bootstrap_differences, bootstrap_intervals
from medmamba_monai.evaluation.statistics.conformal import ConformalPredictor
from medmamba_monai.evaluation.statistics.significance import (
    corrected_resampled_t_test,
    delong,
    delong_interval,
    holm,
    mcnemar,
)
from medmamba_monai.evaluation.statistics.temperature_scaling import apply_temperature, fit_temperature
from medmamba_monai.evaluation.statistics.thresholds import (
    apply_threshold,
    choose_threshold_at_specificity,
    choose_youden_threshold,
)

__all__ = [
    "CATALOGUE",
    "METRICS",
    "TASKS",
    "Combination",
    "Comparison",
    "ConformalPredictor",
    "CrossValidationResult",
    "Metric",
    "Model",
    "Predictions",
    "Scores",
    "Task",
    "apply_temperature",
    "apply_threshold",
    "bootstrap_differences",
    "bootstrap_intervals",
    "choose_threshold_at_specificity",
    "choose_youden_threshold",
    "combine",
    "compare",
    "compute_class_metrics",
    "compute_metrics",
    "corrected_resampled_t_test",
    "delong",
    "delong_interval",
    "ensemble",
    "evaluate_folds",
    "fit_temperature",
    "holm",
    "list_metrics",
    "mcnemar",
    "pool",
    "predict_labels",
    "read_predictions",
    "read_result",
    "trace_abstention",
    "trace_reliability_curve",
    "write_predictions",
]
