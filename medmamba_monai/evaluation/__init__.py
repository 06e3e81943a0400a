"""From saved probabilities to numbers, tables and figures: no network, no training, no tracking."""

from medmamba_monai.evaluation.figures.confusion import (
    confusion_matrix_figure,
    label_figure,
    save_figure,
    save_predictions_figure,
)
from medmamba_monai.evaluation.metrics.calibration import (
    apply_temperature,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
)
from medmamba_monai.evaluation.metrics.paper import METRICS, all_metrics, kappa, per_class_metrics, predicted_labels
from medmamba_monai.evaluation.metrics.review import REVIEW_METRICS, review_class_metrics
from medmamba_monai.evaluation.predictions import Predictions, ensemble, pool, read_predictions, write_predictions
from medmamba_monai.evaluation.results.classes import (
    ClassSummary,
    class_auc_metrics,
    class_csv_table,
    class_markdown_table,
    class_report,
    class_summary,
    metric_keys,
)
from medmamba_monai.evaluation.results.comparison import Comparison, Model, compare
from medmamba_monai.evaluation.results.review import Review, review_folds
from medmamba_monai.evaluation.results.summary import (
    RunDescription,
    Summary,
    csv_table,
    headline,
    markdown_table,
    run_note,
    text_table,
)
from medmamba_monai.evaluation.statistics.bootstrap import bootstrap_intervals, paired_bootstrap
from medmamba_monai.evaluation.statistics.significance import (
    corrected_resampled_t_test,
    delong,
    delong_interval,
    holm,
    mcnemar,
)
from medmamba_monai.evaluation.statistics.thresholds import operating_point, threshold_at_specificity, youden_threshold

__all__ = [
    "METRICS",
    "REVIEW_METRICS",
    "ClassSummary",
    "Comparison",
    "Model",
    "Predictions",
    "Review",
    "RunDescription",
    "Summary",
    "all_metrics",
    "apply_temperature",
    "bootstrap_intervals",
    "brier_score",
    "class_auc_metrics",
    "class_csv_table",
    "class_markdown_table",
    "class_report",
    "class_summary",
    "compare",
    "confusion_matrix_figure",
    "corrected_resampled_t_test",
    "csv_table",
    "delong",
    "delong_interval",
    "ensemble",
    "expected_calibration_error",
    "fit_temperature",
    "headline",
    "holm",
    "kappa",
    "label_figure",
    "markdown_table",
    "mcnemar",
    "metric_keys",
    "operating_point",
    "paired_bootstrap",
    "per_class_metrics",
    "pool",
    "predicted_labels",
    "read_predictions",
    "reliability_curve",
    "review_class_metrics",
    "review_folds",
    "run_note",
    "save_figure",
    "save_predictions_figure",
    "text_table",
    "threshold_at_specificity",
    "write_predictions",
    "youden_threshold",
]
