"""A cross-validation reviewed once more, from its folder alone: with other options, or after its pages were lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.cross_validation.folder_lock import lock_folder
from medmamba_monai.cross_validation.review import CrossValidationReview
from medmamba_monai.cross_validation.review_options import check_review_options, images_left_out
from medmamba_monai.cross_validation.summary import CrossValidationSummary
from medmamba_monai.data import read_fold_list
from medmamba_monai.tracking.run import TrackedRun, reopen_run

DESCRIPTION = "description.json"
"""File in the folder of a cross-validation that says what it is of, so that it can be reviewed again."""


def save_description(
    summary: CrossValidationSummary, card: Path, parameters: Mapping[str, Any], description: Mapping[str, Any]
) -> None:
    """Keep what a later review needs beside the folds: where card, folds and images are, and how the run is described.

    Args:
        summary: of the cross-validation.
        card: file of the dataset's card.
        parameters: of the cross-validation, with ``data_list`` and ``dataset_dir``.
        description: arguments of `CrossValidationReview.write`.
    """
    content = {
        "card": str(card),
        **{name: str(parameters[name]) for name in ("data_list", "dataset_dir")},
        "fold_digest": summary.fold_list.digest,
        "failures": summary.failures,
        "description": dict(description),
    }
    write_json(summary.output_dir / DESCRIPTION, content)


def make_review(
    summary: CrossValidationSummary, run: TrackedRun, options: Mapping[str, Any], description: Mapping[str, Any]
) -> None:
    """Review a cross-validation, write that into its folder and log it to its run.

    Args:
        summary: of the cross-validation.
        run: its parent run.
        options: all of `REVIEW_OPTIONS`, checked.
        description: arguments of `CrossValidationReview.write`.
    """
    note = images_left_out(options["with_images"], run.tracking_uri)
    review = CrossValidationReview(summary, options["resamples"], options["seed"], note)
    review.write(**description)
    review.log(run)


def review_again(directory: Path, **options: Any) -> Path:
    """Review a cross-validation from its folder, and send the review to its MLflow run.

    Args:
        directory: folder of the cross-validation.
        options: those of `REVIEW_OPTIONS` that differ.

    Returns:
        The report.

    Raises:
        UserError: the folder holds none or is in use, or card, folds or images are not what and where they were.
    """
    chosen = check_review_options(options)
    path = directory / DESCRIPTION
    if not path.is_file():
        raise UserError(
            f"{directory} holds no reviewed cross-validation (no {DESCRIPTION}); start its cross-validation again: "
            "finished folds are not trained anew, and it is reviewed at the end"
        )
    with lock_folder(directory):
        saved = json.loads(path.read_text(encoding="utf-8"))
        run = reopen_run(directory)
        note = images_left_out(chosen["with_images"], run.tracking_uri)
        summary = _read_summary(directory, saved, verify=not note)
        summary.write()
        make_review(summary, run, chosen, saved["description"])
        run.send()
    return directory / "report.html"


def _read_summary(directory: Path, saved: Mapping[str, Any], verify: bool) -> CrossValidationSummary:
    """The summary as it was; images are compared with what they were where they are to be shown."""
    card = load_card(saved["card"])
    fold_list = read_fold_list(saved["data_list"], saved["dataset_dir"], verify, card.name)
    if fold_list.digest != saved["fold_digest"]:
        raise UserError(
            f"{saved['data_list']} holds other folds ({fold_list.digest[:12]}) than those of this cross-validation "
            f"({saved['fold_digest'][:12]}): put its folds back there"
        )
    failures = {int(fold): reason for fold, reason in saved["failures"].items()}
    return CrossValidationSummary(directory, card, fold_list, failures)
