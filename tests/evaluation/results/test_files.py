"""A result is read from its files as it was written, without computing its intervals again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import CrossValidationResult, evaluate_folds, read_result, write_predictions
from medmamba_monai.evaluation.reports.files import write_result, write_summary
from medmamba_monai.evaluation.results import cross_validation
from medmamba_monai.evaluation.results.files import describe_result, name_all_values, name_summary_values
from tests.helpers.predicted_folds import NAMES, predicted_folds


def written(folder: Path, task: str = "binary", combination: str = "ensemble", **options) -> CrossValidationResult:
    """A result, with the files that a cross-validation leaves in a folder."""
    folds = predicted_folds(task, combination, groups=20)
    result = CrossValidationResult(task, NAMES[task], combination, 4, folds, {3: "killed"}, **options)
    files = RunFolder(folder)
    for fold, predictions in folds.items():
        write_predictions(files.fold(fold).predictions, predictions)
    write_json(files.description, {"num_folds": 4, "failures": {3: "killed"}})
    write_result(result, files)
    return result


@pytest.mark.parametrize("combination", ["ensemble", "pooled"])
@pytest.mark.parametrize("task", NAMES)
def test_a_result_is_read_as_it_was_written(tmp_path, task, combination):
    result = written(tmp_path, task, combination, resamples=200, seed=3)
    found = read_result(tmp_path)
    assert describe_result(found) == describe_result(result)
    assert name_all_values(found) == name_all_values(result)
    assert name_summary_values(found) == name_summary_values(result)
    assert (found.missing, found.reasons, found.directory) == ([3], {3: "killed"}, tmp_path)
    assert found.folds[0].groups == result.folds[0].groups


def test_intervals_are_read_and_not_computed_again(tmp_path, monkeypatch):
    written(tmp_path, resamples=200)

    def refuse(*options: object) -> None:
        raise AssertionError("a bootstrap is made again")

    monkeypatch.setattr(cross_validation, "bootstrap_intervals", refuse)
    found = read_result(tmp_path)
    assert found.intervals.metrics["auc"].low < found.metrics["auc"]
    assert found.fold_intervals[0]["auc"].low < found.fold_metrics[0]["auc"]


def test_a_file_of_before_the_number_of_folds_was_kept_is_read(tmp_path):
    written(tmp_path, resamples=200)
    write_json(RunFolder(tmp_path).description, {"failures": {}})
    assert read_result(tmp_path).num_folds == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"review\.json: cannot be read .*when it has finished"), ("{", r"review\.json: not the JSON")],
)
def test_a_folder_without_a_result_is_refused_by_name(tmp_path, content, message):
    if content is not None:
        (tmp_path / "review.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_result(tmp_path)


def test_a_summary_is_written_without_a_bootstrap(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation, "bootstrap_intervals", None)
    result = evaluate_folds(predicted_folds("multi-label"))
    names = {path.name for path in write_summary(result, RunFolder(tmp_path))}
    assert names == {
        *("summary.md", "summary_test.csv", "summary_validation.csv", "summary_labels.csv"),
        "ensemble_predictions.csv",
    }
    assert json.loads((tmp_path / "summary.json").read_text()) == name_summary_values(result)
