"""The review of a cross-validation: its result and report, at the end of the folds or once more from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.cards import load_card
from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.choices import bind_images_choice
from medmamba_monai.cross_validation.record import ResultRecord, read_record
from medmamba_monai.cross_validation.report import ReportRecord
from medmamba_monai.data import read_fold_list
from medmamba_monai.evaluation import CrossValidationResult
from medmamba_monai.evaluation.results.cross_validation import check_bootstrap
from medmamba_monai.tracking.mlflow_store import parse_sqlite_path
from medmamba_monai.tracking.run import TrackedRun, reopen_run

REVIEW_OPTIONS: dict[str, Any] = {"resamples": RESAMPLES, "seed": 0, "with_images": None}
"""What a review does where nobody says otherwise; for the images see `explain_images_left_out`."""


def check_review_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the options of a review, and check them before anything is trained or computed.

    Raises:
        UserError: an option is unknown or has a value that cannot be.
    """
    if unknown := sorted(options.keys() - REVIEW_OPTIONS.keys()):
        raise UserError(f"unknown option {unknown[0]!r} of the review: choose from {', '.join(REVIEW_OPTIONS)}")
    chosen = {**REVIEW_OPTIONS, **options}
    check_bootstrap(chosen["resamples"], chosen["seed"])
    if chosen["with_images"] not in (None, True, False):
        raise UserError(f"--report_images {chosen['with_images']!r}: give True or False")
    return chosen


def explain_images_left_out(with_images: bool | None, tracking_uri: str) -> str:
    """Say why a report shows no images; nothing where it shows them.

    Args:
        with_images: what the user said; None leaves them out where results go to a server, which others may read.
        tracking_uri: where results go; empty for nowhere.
    """
    if with_images is None:
        local = not tracking_uri or parse_sqlite_path(tracking_uri) is not None
        reason = "Images were left out, as the results go to a tracking server; --report_images True shows them."
        return "" if local else reason
    return "" if with_images else "Images were left out, as asked for."


def review_folds(
    record: ResultRecord,
    run: TrackedRun,
    options: Mapping[str, Any],
    description: Mapping[str, Any],
    card: Path,
    parameters: Mapping[str, Any],
) -> CrossValidationResult:
    """Write, log and print the result of folds that have just ended, and the report where one of them has finished.

    The tables are shown before the intervals are computed, which take longer.

    Args:
        record: of the cross-validation.
        run: its parent run.
        options: all of `REVIEW_OPTIONS`, checked.
        description: ``title``, ``command`` and ``details`` of the run.
        card: file of the dataset's card.
        parameters: of the cross-validation, with ``data_list`` and ``dataset_dir``, for a later review, and with
            ``inputs`` where models are given anything beside images.
    """
    record.write()
    record.log(run, **description)
    print(record.text, flush=True)
    if record.result.combined is not None:
        save_description(record, card, parameters, description)
        _report(record, run, options, description)
    return record.result


def review_again(directory: Path, **options: Any) -> Path:
    """Review a cross-validation from its folder, and send the review to its MLflow run.

    Args:
        directory: folder of the cross-validation.
        options: those of `REVIEW_OPTIONS` that differ.

    Returns:
        The report.

    Raises:
        UserError: there is no such folder, it holds none or is in use, or card, folds or images are not what and where
            they were.
    """
    chosen = check_review_options(options)
    folder = RunFolder(directory)
    if not folder.path.is_dir():
        raise UserError(
            f"{directory}: there is no such folder; give that of a cross-validation, such as output/first in its bundle"
        )
    if not folder.description.is_file():
        raise UserError(
            f"{directory} holds no reviewed cross-validation (no {folder.description.name}); start its "
            "cross-validation again: finished folds are not trained anew, and it is reviewed at the end"
        )
    with lock_folder(directory, "cross-validation"):
        chosen["with_images"] = bind_images_choice(folder, chosen["with_images"])
        saved = json.loads(folder.description.read_text(encoding="utf-8"))
        run = reopen_run(directory)
        left_out = explain_images_left_out(chosen["with_images"], run.tracking_uri)
        record = _read_described(folder, saved, chosen, verify=not left_out)
        record.write()
        _report(record, run, chosen, saved["description"])
        run.send()
    return folder.report


def _report(record: ResultRecord, run: TrackedRun, options: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    left_out = explain_images_left_out(options["with_images"], run.tracking_uri)
    report = ReportRecord(record, left_out, images_stay_here=options["with_images"] is None)
    report.write(**description)
    report.log(run)


def save_description(
    record: ResultRecord, card: Path, parameters: Mapping[str, Any], description: Mapping[str, Any]
) -> None:
    """Keep what a later review needs beside the folds: where card, folds and images are, and what the run is.

    Args:
        record: of the cross-validation.
        card: file of the dataset's card.
        parameters: with ``data_list``, ``dataset_dir``, and ``inputs`` where models are given anything beside images.
        description: ``title``, ``command`` and ``details`` of the run.
    """
    content = {
        "card": str(card),
        **{name: str(parameters[name]) for name in ("data_list", "dataset_dir")},
        "fold_digest": record.fold_list.digest,
        "num_folds": record.result.num_folds,
        "inputs": parameters.get("inputs", "image"),
        "failures": record.result.reasons,
        "description": dict(description),
    }
    write_json(record.folder.description, content)


def _read_described(
    folder: RunFolder, saved: Mapping[str, Any], options: Mapping[str, Any], verify: bool
) -> ResultRecord:
    """Read the folds as they were; images are compared with what they were where they are to be shown."""
    card = load_card(saved["card"])
    fold_list = read_fold_list(saved["data_list"], saved["dataset_dir"], verify, card.name)
    if fold_list.digest != saved["fold_digest"]:
        raise UserError(
            f"{saved['data_list']} holds other folds ({fold_list.digest[:12]}) than those of this cross-validation "
            f"({saved['fold_digest'][:12]}): put its folds back there"
        )
    failures = {int(fold): reason for fold, reason in saved["failures"].items()}
    return read_record(folder.path, card, fold_list, failures, options["resamples"], options["seed"])
