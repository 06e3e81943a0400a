"""The files of a result: tables, numbers and predictions, under the names that `RunFolder` gives them."""

from __future__ import annotations

from pathlib import Path

from medmamba_monai.core.files import write_json, write_text
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation.predictions import write_predictions
from medmamba_monai.evaluation.reports.class_tables import format_classes_csv, format_classes_markdown
from medmamba_monai.evaluation.reports.summary_tables import format_summary_csv, format_summary_markdown
from medmamba_monai.evaluation.results.cross_validation import CrossValidationResult
from medmamba_monai.evaluation.results.files import describe_result, format_result_csv, name_summary_values


def write_summary(result: CrossValidationResult, folder: RunFolder) -> list[Path]:
    """Write the paper's metrics as ``summary*`` files, and the combined predictions; intervals are not needed for it.

    Returns:
        The paths of all but ``summary.json``, whose numbers are those of `name_summary_values`.
    """
    tables = [format_summary_markdown(result.test), format_summary_markdown(result.best_validation)]
    paths = [folder.summary_text, folder.summary_table("test"), folder.summary_table("validation")]
    write_text(paths[1], format_summary_csv(result.test))
    write_text(paths[2], format_summary_csv(result.best_validation))
    write_json(folder.summary, name_summary_values(result))
    if result.combined is not None:
        tables.append(format_classes_markdown(result.classes))
        classes = folder.summary_table("labels" if result.task == "multi-label" else "classes")
        write_text(classes, format_classes_csv(result.classes))
        predictions = folder.combined_predictions(result.combination)
        write_predictions(predictions, result.combined)
        paths += [classes, predictions]
    write_text(folder.summary_text, "\n".join(tables))
    return paths


def write_result(result: CrossValidationResult, folder: RunFolder) -> list[Path]:
    """Write everything with its intervals: ``review.json``, which `read_result` reads, and ``review.csv``.

    Returns:
        The paths of the files.

    Raises:
        UserError: no fold has finished, or a file cannot be written.
    """
    write_json(folder.review, describe_result(result))
    write_text(folder.review_table, format_result_csv(result))
    return [folder.review, folder.review_table]
