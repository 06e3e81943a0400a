"""The folds of a cross-validation while they run: their processes, their parent run, their result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import remove_leftovers
from medmamba_monai.core.folder_lease import hold_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import EXIT_KILLED, STOP_SIGNALS, catch_signals, interrupt, leave_if_stopped, say
from medmamba_monai.cross_validation.choices import keep_images_choice
from medmamba_monai.cross_validation.fold_job import FoldJob
from medmamba_monai.cross_validation.fold_jobs import run_jobs
from medmamba_monai.cross_validation.fold_process import describe_pause, open_fold_run, read_training
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.cross_validation.fold_tags import describe_folds
from medmamba_monai.cross_validation.hints import describe_results, format_command
from medmamba_monai.cross_validation.launchers import WatchedJobs, make_scheduler, tag_machines
from medmamba_monai.cross_validation.make_jobs import make_cluster_jobs, make_local_jobs
from medmamba_monai.cross_validation.options import LOCAL
from medmamba_monai.cross_validation.plan import Plan
from medmamba_monai.cross_validation.probe import probe_folds
from medmamba_monai.cross_validation.record import read_record
from medmamba_monai.cross_validation.review import review_folds
from medmamba_monai.cross_validation.settings import check_same_settings
from medmamba_monai.cross_validation.shortcuts import name_audit_values
from medmamba_monai.cross_validation.slots import Slots
from medmamba_monai.data import read_audit
from medmamba_monai.evaluation import CrossValidationResult
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.execution import choose_execution
from medmamba_monai.training.handlers.epoch_progress import format_seconds


@contextlib.contextmanager
def open_folds(plan: Plan, parent: Path | None = None) -> Iterator[RunningFolds]:
    """Take the folder of a cross-validation for this process, to run its folds.

    Args:
        plan: of the cross-validation.
        parent: folder of the run that this one belongs to, such as that of a search; None for none.

    Raises:
        UserError: the folder holds a cross-validation with other settings, or is in use.
    """
    machines = plan.options.launcher != LOCAL
    with hold_folder(plan.output_dir, "cross-validation", machines, patience=0):
        check_same_settings(plan)
        remove_leftovers(plan.output_dir)
        with_images = keep_images_choice(RunFolder(plan.output_dir), plan.options.report_images)
        yield RunningFolds(plan, with_images, parent)


class RunningFolds:
    """A cross-validation while it runs, in a folder that nobody else works in; `open_folds` makes it.

    `run` does everything; its parts are `begin`, `run_folds`, `conclude` and `finish`, for who runs the folds of
    several together. Who runs folds one by one, as a search does, calls `start`, `run_folds` as often as there is
    something to run, `summarize` and `finish`.

    Args:
        plan: of the cross-validation.
        with_images: whether the report shows images; None where results stay on this machine.
        parent: folder of the run that this one belongs to.

    Attributes:
        failures: why a fold did not finish when it was run last, by its number.
        pauses: of the folds whose training paused, after which epoch, by number.
        tracked_run: the parent run of the folds.
    """

    def __init__(self, plan: Plan, with_images: bool | None, parent: Path | None = None) -> None:
        self.plan = plan
        self.review = {**plan.options.review, "with_images": with_images}
        self.folder = RunFolder(plan.output_dir)
        self.failures: dict[int, str] = {}
        self.pauses: dict[int, str] = {}
        self.tracked_run = TrackedRun(
            directory=plan.output_dir,
            tracking_uri=plan.training.tracking_uri,
            experiment_name=plan.training.experiment_name,
            run_name=plan.options.run_name,
            parent=parent,
            resume=not plan.starts_afresh,
            dataset=RunDataset(plan.card.name, plan.fold_list.digest, "cross-validation"),
        )

    def run(self, server: FoldServer | None = None) -> CrossValidationResult:
        """Run the folds of the plan that are not finished, and review them all.

        Args:
            server: what forks their processes, see `run_jobs`.

        Raises:
            UserError: a fold failed.
        """
        with catch_signals(STOP_SIGNALS[1:], interrupt):
            began = time.time()
            try:
                self.begin()
                self.run_folds(self.plan.folds, server)
                result = self.conclude(time.time() - began)
            except BaseException as error:
                self.record_end(error)
                leave_if_stopped(error)
                raise
        self.finish()
        return result

    def begin(self) -> None:
        """Begin the parent run, and say which folds are finished; of folds that begin afresh nothing remains."""
        self.start()
        results = {fold: self.folder.fold(fold).result for fold in self.plan.folds}
        if not self.plan.training.resume:
            for path in (self.folder.robustness, self.folder.robustness_report, *results.values()):
                path.unlink(missing_ok=True)
        for fold, path in results.items():
            if path.is_file():
                print(f"fold {fold} is finished: {path}", flush=True)

    def list_unfinished(self) -> list[int]:
        """Return the numbers of the plan's folds that are not finished."""
        return [fold for fold in self.plan.folds if not self.folder.fold(fold).result.is_file()]

    def conclude(self, seconds: float) -> CrossValidationResult:
        """Put the finished folds together, and say where everything is.

        Args:
            seconds: how long it took.
        """
        result = self.summarize(seconds)
        print(self._where(seconds), flush=True)
        return result

    def record_end(self, error: BaseException) -> None:
        """End the parent run as what an error makes of it."""
        self.tracked_run.finish(choose_end_status(error), describe_failure(error))

    def start(self) -> None:
        """Begin the parent run, or go on with it."""
        run, fold_list = self.tracked_run, self.plan.fold_list
        run.start()
        run.journal.log_params({**self.plan.logged_parameters(), "num_folds": fold_list.num_folds})
        tags = {
            **describe_folds(self.plan.card.name, fold_list),
            "inputs": self.plan.inputs,
            "pretrained": self.plan.pretrained or "none",
        }
        machines = tag_machines(make_scheduler(self.plan.options, self.folder))
        run.journal.set_tags({**describe_environment(str(self.plan.training.device)), **machines, **tags})
        run.journal.log_summary(name_audit_values(read_audit(fold_list)))
        run.send()

    def run_folds(
        self,
        folds: Sequence[int],
        server: FoldServer | None = None,
        on_look: Callable[[], None] = lambda: None,
        **changes: Any,
    ) -> None:
        """Run the folds that are not finished; `failures` and `pauses` say what became of the others.

        Args:
            folds: their numbers.
            server: what forks their processes, see `run_jobs`.
            on_look: called a few times a second, see `run_jobs`.
            changes: options of the training that are others this time, such as ``pause_after``.
        """
        unfinished = [fold for fold in folds if not self.folder.fold(fold).result.is_file()]
        if not unfinished:
            return
        for fold in unfinished:
            self.failures.pop(fold, None)
            self.pauses.pop(fold, None)
        if (scheduler := make_scheduler(self.plan.options, self.folder)) is not None:
            jobs = self.make_cluster_jobs(unfinished, scheduler.gpus, **changes)
            WatchedJobs[FoldJob](scheduler).run(jobs, self.note_end, self.plan.starts_afresh)
            return
        notes = [self.folder.fold(fold).gpu_memory for fold in unfinished]
        slots = Slots(self.plan.options.jobs, len(unfinished), self.plan.training.device, notes)
        if server is None:
            choose_execution(self.plan.training).announce()
            say(slots.describe())
        jobs = make_local_jobs(self.plan, unfinished, slots, {**self._stay_local(), **changes})
        if self.plan.options.probe is not None:
            probe_folds(self.plan, jobs)
        else:
            run_jobs(jobs, slots, self.note_end, server, on_look)

    def make_cluster_jobs(self, folds: Sequence[int], gpus: int, **changes: Any) -> list[FoldJob]:
        """Return folds as jobs for other machines, see `make_jobs`."""
        return make_cluster_jobs(self.plan, folds, gpus, {**self._stay_local(), **changes})

    def summarize(self, seconds: float) -> CrossValidationResult:
        """Put the finished folds together: tables, report, and the numbers of the parent run.

        Args:
            seconds: how long it took.
        """
        plan, options = self.plan, self.review
        record = read_record(
            plan.output_dir,
            plan.card,
            plan.fold_list,
            {**self.pauses, **self.failures},
            options["resamples"],
            options["seed"],
        )
        description: dict[str, Any] = {
            "title": f"{self.tracked_run.run_name}: {plan.model} on {plan.card.title}",
            "command": self._command(),
            "details": {**plan.logged_parameters(), "time of the last start": format_seconds(seconds)},
        }
        parameters = {**plan.parameters(), "inputs": plan.inputs}
        return review_folds(record, self.tracked_run, options, description, plan.card_path, parameters)

    def finish(self) -> None:
        """End the parent run as what the folds say that it is.

        Raises:
            UserError: a fold failed.
        """
        if self.failures:
            reason = f"folds that did not finish: {_list_folds(self.failures)}"
            self.tracked_run.finish("FAILED", reason)
            ends = [_quote_end(fold, self.folder.fold(fold).log) for fold in sorted(self.failures)]
            raise UserError("\n".join([f"{reason}. Start the same command again to go on with them.", *ends]))
        if self.pauses:
            reason = f"folds that paused: {_list_folds(self.pauses)}"
            self.tracked_run.finish("KILLED", reason)
            say(f"{reason}; start the same command again with a later --pause_after, or without it, to go on with them")
            return
        self.tracked_run.finish("FINISHED")

    def note_end(self, job: FoldJob, code: int) -> None:
        """Take in that the process of a fold has ended, with an exit code as `run_jobs` tells it."""
        self.failures.pop(job.fold, None)
        self.pauses.pop(job.fold, None)
        if code == 0:
            if pause := describe_pause(read_training(RunFolder(job.directory)) or {}):
                self.pauses[job.fold] = pause
            return
        killed = code < 0 or code == EXIT_KILLED
        reason = f"killed by signal {-code}" if code < 0 else "stopped" if killed else f"exit code {code}"
        self.failures[job.fold] = reason
        if code < 0:
            open_fold_run(job.content).finish("KILLED", reason)
        say(f"{job.title} did not finish ({reason}); its log: {RunFolder(job.directory).log}")

    def _stay_local(self) -> dict[str, str]:
        """Return the change that keeps folds from a store which the parent run could not reach."""
        return {"tracking_uri": ""} if self.tracked_run.stays_local else {}

    def _where(self, seconds: float) -> str:
        plan = self.plan
        finished = [fold for fold in range(plan.fold_list.num_folds) if self.folder.fold(fold).result.is_file()]
        run = self.tracked_run
        run.send(force=False)
        return describe_results(
            plan.parameters(),
            plan.bundle_root,
            plan.output_dir,
            run.run_id,
            run.find_page(),
            finished,
            seconds,
            with_weights=plan.options.probe is None,
            with_records="records" in plan.inputs,
        )

    def _command(self) -> str:
        plan = self.plan
        named = {"pretrained": "FILE_OR_RUN"} if plan.pretrained else {}
        named |= {"encoder": "NAME_OR_FOLDER"} if plan.encoder else {}
        return format_command(
            {**plan.logged_parameters(), **named}, plan.bundle_root, plan.options.config_files, plan.options.overrides
        )


def _list_folds(reasons: dict[int, str]) -> str:
    return ", ".join(f"{fold} ({reason})" for fold, reason in sorted(reasons.items()))


def _quote_end(fold: int, log: Path) -> str:
    """Return the last line of a fold's log; the file stands behind it, so that where files are hidden both are."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = next((line for line in reversed(lines) if line.strip()), "nothing was written")
    return f"Fold {fold} ended with: {last} (log: {log})"
