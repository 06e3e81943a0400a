"""From saved probabilities to numbers, tables and figures: no network, no training, no tracking."""

from medmamba_monai.evaluation.figures import confusion_matrix_figure, save_figure
from medmamba_monai.evaluation.metrics import METRICS, all_metrics, per_class_metrics
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
    "Predictions",
    "RunDescription",
    "Summary",
    "all_metrics",
    "confusion_matrix_figure",
    "csv_table",
    "ensemble",
    "headline",
    "markdown_table",
    "per_class_metrics",
    "pool",
    "read_predictions",
    "run_note",
    "save_figure",
    "text_table",
    "write_predictions",
]
