"""From saved probabilities to numbers, tables and figures: no network, no training, no tracking."""

from medmamba_monai.evaluation.classes import (
    ClassSummary,
    class_auc_metrics,
    class_csv_table,
    class_markdown_table,
    class_report,
    class_summary,
    metric_keys,
)
from medmamba_monai.evaluation.figures import (
    confusion_matrix_figure,
    label_figure,
    save_figure,
    save_predictions_figure,
)
from medmamba_monai.evaluation.metrics import METRICS, all_metrics, kappa, per_class_metrics, predicted_labels
from medmamba_monai.evaluation.predictions import Predictions, ensemble, pool, read_predictions, write_predictions
from medmamba_monai.evaluation.summary import (
    RunDescription,
    Summary,
    csv_table,
    headline,
    markdown_table,
    run_note,
    text_table,
)

__all__ = [
    "METRICS",
    "ClassSummary",
    "Predictions",
    "RunDescription",
    "Summary",
    "all_metrics",
    "class_auc_metrics",
    "class_csv_table",
    "class_markdown_table",
    "class_report",
    "class_summary",
    "confusion_matrix_figure",
    "csv_table",
    "ensemble",
    "headline",
    "kappa",
    "label_figure",
    "markdown_table",
    "metric_keys",
    "per_class_metrics",
    "pool",
    "predicted_labels",
    "read_predictions",
    "run_note",
    "save_figure",
    "save_predictions_figure",
    "text_table",
    "write_predictions",
]
