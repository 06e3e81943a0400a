"""Clinical records beside a finished cross-validation of images: alone, or fused with its scores, on the same folds."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.core.choices import check_choice
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.names import make_file_name
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.choices import keep_images_choice, read_images_choice
from medmamba_monai.cross_validation.fold_tags import describe_folds
from medmamba_monai.cross_validation.record import read_record
from medmamba_monai.cross_validation.review import check_review_options, review_folds
from medmamba_monai.cross_validation.shortcuts import name_audit_values
from medmamba_monai.data import FoldList, read_audit, read_fold_list
from medmamba_monai.evaluation import CrossValidationResult, Predictions, read_result
from medmamba_monai.evaluation.results.comparison import Inputs
from medmamba_monai.evaluation.results.fold_files import name_evaluation_values, write_evaluation
from medmamba_monai.records import CLASSIFIERS, WAYS, Classifier, Way, predict_folds
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.run import TrackedRun, choose_end_status, reopen_run

_INPUTS: dict[Way, Inputs] = {"records": "records", "late": "image and records"}
_TITLES: dict[Classifier, str] = {"logistic": "logistic regression", "boosted": "gradient-boosted trees"}


@dataclass(frozen=True)
class _Source:
    """The cross-validation of images, and what it is of."""

    folder: RunFolder
    card: DatasetCard
    card_path: Path
    fold_list: FoldList
    tracked: TrackedRun


def fuse_records(
    run: str | Path,
    way: Way = "late",
    classifier: Classifier = "logistic",
    run_name: str | None = None,
    output_dir: str | Path | None = None,
    **review: Any,
) -> CrossValidationResult:
    """Make a cross-validation of clinical records, alone or fused with the scores of a finished one of images.

    Its folder has what `review` and `compare` read: predictions of each fold, a report, and a run in the MLflow store
    of the finished one, with a child for each fold. Values of records are neither in the folder nor in MLflow. Made
    again, it takes the place of the one before.

    Args:
        run: folder of the finished cross-validation, such as ``output/first``.
        way: ``records``: the records alone; ``late``: the records and the scores of the images.
        classifier: ``logistic`` or ``boosted``.
        run_name: name of the new run; by default that of the finished one with the way and the classifier.
        output_dir: folder of the new run; by default one of its name beside the finished one.
        review: options of the review that differ, such as ``resamples``.

    Returns:
        The result, as a cross-validation of networks has it.

    Raises:
        UserError: the run is not there or has not finished, its fold list holds no records or other folds, an option
            does not fit, or the output folder holds another kind of run.
    """
    check_choice(way, WAYS, "way")
    check_choice(classifier, CLASSIFIERS, "classifier")
    source = _read_source(RunFolder(run))
    options = check_review_options(review)
    name = run_name or f"{source.folder.path.resolve().name} {way} {classifier}"
    place = Path(output_dir or source.folder.path.resolve().parent / make_file_name(name.replace(" ", "_")))
    _check_place(RunFolder(place), source)
    whole = read_result(source.folder.path)
    images = whole.folds if way == "late" else None
    began = time.time()
    folds = predict_folds(source.fold_list, source.card.display_names, classifier, images, sorted(whole.folds))
    place.mkdir(parents=True, exist_ok=True)
    with lock_folder(place, "cross-validation"):
        told = read_images_choice(source.folder) if options["with_images"] is None else options["with_images"]
        options["with_images"] = keep_images_choice(RunFolder(place), told)
        parameters = {"way": way, "classifier": classifier, "image_run": source.folder.path.resolve().name}
        missing = dict.fromkeys(whole.missing, f"has not finished in {parameters['image_run']}")
        return _Writing(source, RunFolder(place), name, parameters, options, began, missing).run(folds)


def _read_source(folder: RunFolder) -> _Source:
    if not folder.description.is_file():
        raise UserError(
            f"{folder.path}: holds no finished cross-validation (no {folder.description.name}); give the folder of "
            "one, such as output/first"
        )
    saved = json.loads(folder.description.read_text(encoding="utf-8"))
    if saved.get("inputs", "image") != "image":
        raise UserError(f"{folder.path}: is given {saved['inputs']} already; give a cross-validation of images alone")
    card = load_card(saved["card"])
    fold_list = read_fold_list(saved["data_list"], saved["dataset_dir"], verify=False, name=card.name)
    if fold_list.digest != saved["fold_digest"]:
        raise UserError(
            f"{saved['data_list']} holds other folds ({fold_list.digest[:12]}) than those of {folder.path} "
            f"({saved['fold_digest'][:12]}): put its folds back there"
        )
    return _Source(folder, card, Path(saved["card"]), fold_list, reopen_run(folder.path))


def _check_place(place: RunFolder, source: _Source) -> None:
    """Refuse a folder that holds anything but an earlier run of this kind."""
    if place.path.resolve() == source.folder.path.resolve() or (
        place.path.exists() and any(place.path.iterdir()) and not _is_fused(place)
    ):
        raise UserError(f"{place.path}: holds something else; choose another --output-dir or --run-name")


def _is_fused(place: RunFolder) -> bool:
    try:
        return "way" in json.loads(place.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


class _Writing:
    """A cross-validation of records while its files are written and logged."""

    def __init__(
        self,
        source: _Source,
        folder: RunFolder,
        name: str,
        parameters: Mapping[str, str],
        options: Mapping[str, Any],
        began: float,
        missing: Mapping[int, str],
    ) -> None:
        self.source, self.folder, self.name = source, folder, name
        self.parameters, self.options, self.began, self.missing = parameters, options, began, missing
        self.inputs = _INPUTS[parameters["way"]]  # type: ignore[index]
        self.parent = self._open(folder.path, name)

    def run(self, folds: Mapping[int, Predictions]) -> CrossValidationResult:
        """Write and log the folds, then review them."""
        error: BaseException | None = None
        try:
            self._start(self.source.fold_list.num_folds)
            for fold, predictions in folds.items():
                self._write_fold(fold, predictions)
            return self._review()
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.parent.finish(choose_end_status(error), describe_failure(error) if error else "")

    def _open(self, directory: Path, name: str, parent: Path | None = None) -> TrackedRun:
        tracked, kind = self.source.tracked, "cross-validation" if parent is None else ""
        dataset = RunDataset(self.source.card.name, self.source.fold_list.digest, kind) if kind else None
        return TrackedRun(
            directory, tracked.tracking_uri, tracked.experiment_name, name, parent, resume=False, dataset=dataset
        )

    def _start(self, num_folds: int) -> None:
        fold_list, run = self.source.fold_list, self.parent
        write_json(self.folder.settings, {**self.parameters, "fold_digest": fold_list.digest})
        run.start()
        columns = [column.name for column in fold_list.records or ()]
        run.journal.log_params({**self.parameters, "num_folds": num_folds, "record_columns": columns})
        tags = {
            **describe_folds(self.source.card.name, fold_list),
            "records_digest": fold_list.records_digest,
            "inputs": self.inputs,
        }
        run.journal.set_tags({**describe_environment("cpu"), **tags})
        run.journal.log_summary(name_audit_values(read_audit(fold_list)))
        run.send()

    def _write_fold(self, fold: int, predictions: Predictions) -> None:
        folder = self.folder.fold(fold)
        folder.path.mkdir(exist_ok=True)
        run = self._open(folder.path, f"fold {fold}", self.folder.path)
        run.start()
        metrics = write_evaluation(folder, predictions)
        write_json(folder.result, {"fold": fold, "seconds": time.time() - self.began, "metrics": metrics})
        run.journal.set_tags({"dataset": self.source.card.name, "fold": fold, "inputs": self.inputs})
        run.journal.log_summary(name_evaluation_values(metrics, predictions))
        for path in (folder.predictions, folder.metrics):
            run.journal.log_artifact(path)
        run.finish("FINISHED")

    def _review(self) -> CrossValidationResult:
        source, options = self.source, self.options
        record = read_record(
            self.folder.path, source.card, source.fold_list, self.missing, options["resamples"], options["seed"]
        )
        classifier = _TITLES[self.parameters["classifier"]]  # type: ignore[index]
        what = "clinical records" if self.inputs == "records" else "image scores and clinical records"
        description = {
            "title": f"{self.name}: {classifier} of {what} on {source.card.title}",
            "command": self._format_command(),
            "details": {**self.parameters, "records": ", ".join(c.name for c in source.fold_list.records or ())},
        }
        places = {"data_list": source.fold_list.path, "dataset_dir": source.fold_list.dataset_dir}
        parameters = {**places, "inputs": self.inputs}
        return review_folds(record, self.parent, options, description, source.card_path, parameters)

    def _format_command(self) -> str:
        parts = ["medmamba-monai", "fuse", self.parameters["image_run"], "--way", self.parameters["way"]]
        return shlex.join([*parts, "--classifier", self.parameters["classifier"], "--run-name", self.name])
