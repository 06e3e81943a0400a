"""The cross-validation of a bundle: one process a fold, one MLflow parent run with a child for each fold."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import remove_leftovers, write_json
from medmamba_monai.core.folder_lock import lock_folder
from medmamba_monai.core.options import format_options
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals, say
from medmamba_monai.cross_validation.choices import keep_images_choice
from medmamba_monai.cross_validation.fold_jobs import FoldJob, run_jobs
from medmamba_monai.cross_validation.fold_process import EXIT_KILLED, open_fold_run
from medmamba_monai.cross_validation.hints import describe_results, format_command
from medmamba_monai.cross_validation.options import CrossValidationOptions
from medmamba_monai.cross_validation.plan import Plan, make_plan
from medmamba_monai.cross_validation.record import read_record
from medmamba_monai.cross_validation.review import review_folds
from medmamba_monai.cross_validation.shortcuts import name_audit_values
from medmamba_monai.cross_validation.slots import Slots
from medmamba_monai.data import describe_shortcuts, read_audit
from medmamba_monai.evaluation import CrossValidationResult
from medmamba_monai.networks import NETWORKS
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.execution import choose_execution
from medmamba_monai.training.handlers.epoch_progress import format_seconds
from medmamba_monai.training.options import TrainingOptions

MEMORY_SHARE = 0.4
"""Part of the available memory that the images of one dataset may take; folds that run at a time share it."""


class CrossValidation:
    """Train and evaluate a network once a fold, and review the folds together.

    Each fold runs `fold_process` on the bundle's own ``train.json`` and ``evaluate.json``. Started again with the same
    name, finished folds are skipped and the others go on after their last epoch; with the option ``resume`` False
    the folds asked for are trained anew.

    Args:
        bundle_root: folder of the bundle.
        options: of the cross-validation.
        training_options: options of the training that differ from those of its configs, by name; None leaves an option
            to them.

    """

    def __init__(
        self, bundle_root: str | Path, options: CrossValidationOptions, training_options: Mapping[str, Any]
    ) -> None:
        self.bundle_root = bundle_root
        self.options = options
        self.training_options = dict(training_options)

    def run(self) -> CrossValidationResult:
        """Run what is not finished, then summarize.

        Returns:
            What was found.

        Raises:
            UserError: a file is missing or an option does not fit, the output folder holds a cross-validation with
                other settings or is in use, or a fold failed.
        """
        plan = make_plan(self.bundle_root, self.options, self.training_options)
        with lock_folder(plan.output_dir, "cross-validation"):
            check_same_settings(plan)
            remove_leftovers(plan.output_dir)
            with_images = keep_images_choice(RunFolder(plan.output_dir), self.options.report_images)
            return _Running(plan, with_images).run()

    def format_help(self) -> str:
        """Return a table of all options with their values, for a terminal."""
        inherited = format_options(TrainingOptions, self.training_options, only=self.training_options)
        return f"{self.options.format_help()}\n\nOf each fold's training; None: what its configs say.\n{inherited}"


def check_same_settings(plan: Plan) -> None:
    """Keep the settings in the folder, or compare them with those that are there.

    Raises:
        UserError: they differ.
    """
    path = RunFolder(plan.output_dir).settings
    settings = json.loads(json.dumps(plan.settings()))
    goes_on = path.is_file() and not plan.starts_afresh
    saved = json.loads(path.read_text(encoding="utf-8")) if goes_on else settings
    for key in sorted(saved.keys() | settings.keys()):
        if (saved.get(key) or None) != (settings.get(key) or None):  # an option is off where it did not exist yet
            raise UserError(
                f"{plan.output_dir} holds a cross-validation with {key} {saved.get(key)!r}, but "
                f"{settings.get(key)!r} is asked for: use the same value to go on, or another --run_name"
            )
    write_json(path, settings)


class _Running:
    """A cross-validation while it runs, in a folder that nobody else works in."""

    def __init__(self, plan: Plan, with_images: bool | None) -> None:
        self.plan = plan
        self.review = {**plan.options.review, "with_images": with_images}
        self.folder = RunFolder(plan.output_dir)
        self.failures: dict[int, str] = {}
        self.tracked_run = TrackedRun(
            directory=plan.output_dir,
            tracking_uri=plan.training.tracking_uri,
            experiment_name=plan.training.experiment_name,
            run_name=plan.options.run_name,
            resume=not plan.starts_afresh,
            dataset=RunDataset(plan.card.name, plan.fold_list.digest, "cross-validation"),
        )

    def run(self) -> CrossValidationResult:
        with catch_signals(STOP_SIGNALS[1:], _interrupt):
            result = self._run_and_record()
        self._finish()
        return result

    def _run_and_record(self) -> CrossValidationResult:
        began = time.time()
        try:
            self._start_parent()
            if not self.plan.training.resume:
                for fold in self.plan.folds:
                    self.folder.fold(fold).result.unlink(missing_ok=True)
            self._run_folds()
            return self._summarize(time.time() - began)
        except BaseException as error:
            self.tracked_run.finish(choose_end_status(error), describe_failure(error))
            if isinstance(error, KeyboardInterrupt):
                say("stopped; start the same command again to go on where it was")
                sys.exit(EXIT_KILLED)
            raise

    def _start_parent(self) -> None:
        run, fold_list = self.tracked_run, self.plan.fold_list
        run.start()
        run.journal.log_params({**self.plan.logged_parameters(), "num_folds": fold_list.num_folds})
        tags = {
            "dataset": self.plan.card.name,
            "fold_digest": fold_list.digest,
            "protocol": fold_list.protocol,
            "count_mismatch": "; ".join(fold_list.count_mismatch) or "none",
            "checksum_mismatch": "; ".join(fold_list.checksum_mismatch) or "none",
            "shortcuts": describe_shortcuts(fold_list),
        }
        run.journal.set_tags({**describe_environment(str(self.plan.training.device)), **tags})
        run.journal.log_summary(name_audit_values(read_audit(fold_list)))
        run.send()

    def _run_folds(self) -> None:
        unfinished = [fold for fold in self.plan.folds if not self.folder.fold(fold).result.is_file()]
        for fold in self.plan.folds:
            if fold not in unfinished:
                print(f"fold {fold} is finished: {self.folder.fold(fold).result}", flush=True)
        if not unfinished:
            return
        notes = [self.folder.fold(fold).gpu_memory for fold in unfinished]
        slots = Slots(self.plan.options.jobs, len(unfinished), self.plan.training.device, notes)
        choose_execution(self.plan.training).announce()
        say(slots.describe())
        jobs = [self._job(fold, len(unfinished) - number - 1, slots) for number, fold in enumerate(unfinished)]
        run_jobs(jobs, slots, self._fold_ended)

    def _fold_ended(self, job: FoldJob, code: int) -> None:
        if code == 0:
            return
        killed = code < 0 or code == EXIT_KILLED
        reason = f"killed by signal {-code}" if code < 0 else "stopped" if killed else f"exit code {code}"
        self.failures[job.fold] = reason
        if code < 0:
            open_fold_run(job.content).finish("KILLED", reason)
        say(f"fold {job.fold} did not finish ({reason}); its log: {RunFolder(job.directory).log}")

    def _summarize(self, seconds: float) -> CrossValidationResult:
        plan, options = self.plan, self.review
        record = read_record(
            plan.output_dir, plan.card, plan.fold_list, self.failures, options["resamples"], options["seed"]
        )
        description: dict[str, Any] = {
            "title": f"{self.tracked_run.run_name}: {NETWORKS[plan.training.network_name]} on {plan.card.title}",
            "command": self._command(),
            "details": {**plan.logged_parameters(), "time of the last start": format_seconds(seconds)},
        }
        result = review_folds(record, self.tracked_run, options, description, plan.card_path, plan.parameters())
        print(self._where(seconds), flush=True)
        return result

    def _finish(self) -> None:
        listed = ", ".join(f"{fold} ({reason})" for fold, reason in sorted(self.failures.items()))
        if not listed:
            self.tracked_run.finish("FINISHED")
            return
        reason = f"folds that did not finish: {listed}"
        self.tracked_run.finish("FAILED", reason)
        raise UserError(f"{reason}. Start the same command again to go on with them.")

    def _job(self, fold: int, jobs_after: int, slots: Slots) -> FoldJob:
        plan, directory = self.plan, self.folder.fold(fold).path
        overrides = {
            **plan.parameters(),
            **({"tracking_uri": ""} if self.tracked_run.stays_local else {}),
            "bundle_root": str(plan.bundle_root),
            "fold": fold,
            "output_dir": str(directory),
            "ckpt_dir": str(directory),
            "parent_dir": str(plan.output_dir),
            "finish_run": False,
            "trainings_after": -(-jobs_after // slots.number),
            "memory_share": MEMORY_SHARE / slots.most,
            **plan.options.overrides,
        }
        content = {
            "fold": fold,
            "bundle_root": str(plan.bundle_root),
            "config_files": list(plan.config_files),
            "evaluate_files": list(plan.evaluate_files),
            "overrides": overrides,
            "runs_before": Journal(directory).count_runs(),
        }
        return FoldJob(fold, directory, content)

    def _where(self, seconds: float) -> str:
        plan = self.plan
        finished = [fold for fold in range(plan.fold_list.num_folds) if self.folder.fold(fold).result.is_file()]
        run = self.tracked_run
        run.send(force=False)
        return describe_results(
            plan.parameters(), plan.bundle_root, plan.output_dir, run.run_id, run.find_page(), finished, seconds
        )

    def _command(self) -> str:
        plan = self.plan
        return format_command(
            plan.logged_parameters(), plan.bundle_root, plan.options.config_files, plan.options.overrides
        )


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")
