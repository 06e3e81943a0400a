"""The process of one fold: it trains, evaluates the best weights and leaves a result.

A training that pauses (option ``pause_after``) is not evaluated and leaves no result; the next start goes on with it.

There is one process a fold, so that no cache, thread pool or random state of one fold reaches another. It is forked by
a `FoldServer`, or begins as ``python -m medmamba_monai.cross_validation job.json``.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.engines import Trainer

from medmamba_monai.core.errors import UserError, find_user_error, format_error, get_first_line
from medmamba_monai.core.files import remove_leftovers, write_json
from medmamba_monai.core.folder_lease import hold_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import EXIT_KILLED, STOP_SIGNALS, end_with_parent
from medmamba_monai.cross_validation.shared_files import check_shared_files
from medmamba_monai.cross_validation.slots import GpuMemory
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.journal import Journal
from medmamba_monai.tracking.private_values import hide_private_values
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.handlers.finite_loss import TrainingDiverged

MEMORY_STEPS = 5
"""Steps of a training after which it has taken the GPU memory that it takes."""

_PATIENCE = 600.0
"""Seconds that a job of a cluster waits for the one before it, which its scheduler took for dead."""

EXIT_USER_ERROR = 2


class _LogFile(logging.FileHandler):
    """A log that says in one line, once, that it cannot be written any more."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.errno is not None:
            self.setLevel(logging.CRITICAL + 1)
            print(f"{self.baseFilename} cannot be written any more: {error.strerror}", file=sys.stderr)
        else:
            super().handleError(record)


def main(job_file: str) -> int:
    """Run the job in a file and return the exit code: 0, 2 for what the user can fix, 130 when stopped, else 1."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    parent = int(job.get("parent_pid", os.getppid()))
    if os.getppid() != parent:  # it ended while this process was importing
        return EXIT_KILLED
    end_with_parent(parent)
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, _interrupt)
    folder = RunFolder(job["overrides"]["output_dir"])
    try:
        shared = job.get("shared_files")
        with hold_folder(folder.path, "fold", shared is not None, 0 if shared is None else _PATIENCE):
            check_shared_files(shared or {})
            return _run_and_record(job, folder)
    except UserError as error:
        print(format_error(error), file=sys.stderr)
    except OSError as error:
        print(f"error: cannot write in {folder.path}: {error.strerror or error}", file=sys.stderr)
    return EXIT_USER_ERROR


def _run_and_record(job: dict[str, Any], folder: RunFolder) -> int:
    remove_leftovers(folder)
    log_file = _LogFile(folder.log)
    log_file.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    error: BaseException | None = None
    pause = ""
    try:
        pause = describe_pause(_train(job, folder, log_file))
        if pause:
            print(f"fold {job['fold']}: {pause}", flush=True)
        else:
            _evaluate(job, folder)
    except BaseException as caught:  # noqa: BLE001 - whatever ended the fold is recorded as its status and exit code
        error = caught
    try:
        status = "KILLED" if error is None and pause else choose_end_status(error)
        open_fold_run(job).finish(status, describe_failure(error) if error else pause)
    except UserError as unwritten:
        error = unwritten
    return _exit_code(error, log_file)


def _train(job: dict[str, Any], folder: RunFolder, log_file: logging.Handler) -> dict[str, Any]:
    """Train, and leave and return what became of the training."""
    earlier = read_training(folder) if job["overrides"].get("resume", True) else None
    workflow = _workflow(job, job["config_files"], "training")
    logging.getLogger().addHandler(log_file)
    write_json(folder.executed_config, hide_private_values(workflow.parser.get()))
    began = time.time()
    workflow.initialize()
    _note_gpu_memory(workflow.parser.get_parsed_content("train#trainer", instantiate=True), folder)
    workflow.run()
    workflow.finalize()
    trainer = workflow.parser.get_parsed_content("train#trainer", instantiate=True)
    evaluator = workflow.parser.get_parsed_content("validate#evaluator", instantiate=True)
    seconds = time.time() - began
    summary = {
        "epochs": trainer.state.epoch,
        "best_epoch": evaluator.state.best_metric_epoch,
        "seconds": seconds + (earlier["seconds"] if earlier and describe_pause(earlier) else 0.0),
    }
    pause = workflow.parser.get_parsed_content("train#pause", instantiate=True)
    if pause.is_reached(trainer):
        summary["paused_of"] = trainer.state.max_epochs
    write_json(folder.training, summary)
    return summary


def read_training(folder: RunFolder) -> dict[str, Any] | None:
    """Return the epochs, the best epoch and the seconds of a fold's training; None where it has not come to an end.

    Of one that paused, ``paused_of`` is the number of epochs that it is to have.

    Args:
        folder: of the fold.
    """
    return dict(json.loads(folder.training.read_text(encoding="utf-8"))) if folder.training.is_file() else None


def describe_pause(training: Mapping[str, Any]) -> str:
    """Say that a training paused, and where; nothing of one that has ended."""
    return f"paused after epoch {training['epochs']} of {training['paused_of']}" if "paused_of" in training else ""


def _note_gpu_memory(trainer: Trainer, folder: RunFolder) -> None:
    """Let a training on a GPU write down, after its first steps, what it takes there."""
    if trainer.state.device.type == "cuda":
        steps = Events.ITERATION_COMPLETED(once=MEMORY_STEPS)
        trainer.add_event_handler(steps, lambda: GpuMemory.measure(trainer.state.device).write(folder.gpu_memory))


def _evaluate(job: dict[str, Any], folder: RunFolder) -> None:
    gc.collect()  # the cached images of the training
    print(f"fold {job['fold']}: evaluating the weights of the best epoch", flush=True)
    _run(_workflow(job, [*job["config_files"], *job["evaluate_files"]], "evaluating"))
    training = json.loads(folder.training.read_text(encoding="utf-8"))
    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    run = open_fold_run(job)
    run.journal.log_artifact(folder.executed_config)
    write_json(folder.result, {"fold": job["fold"], **training, "metrics": metrics})


def _workflow(job: dict[str, Any], config_files: list[str], run_id: str) -> ConfigWorkflow:
    configs = Path(job["bundle_root"]) / "configs"
    logging.getLogger("monai.bundle.workflows").setLevel(logging.WARNING)
    return ConfigWorkflow(
        config_file=config_files,
        meta_file=str(configs / "metadata.json"),
        logging_file=str(configs / "logging.conf"),
        run_id=run_id,
        workflow_type="train",
        **job["overrides"],
    )


def _run(workflow: ConfigWorkflow) -> None:
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def open_fold_run(job: dict[str, Any]) -> TrackedRun:
    """Open the tracked run of a job's fold, to which its training and its evaluation log.

    Where the fold is trained anew and has not come to begin another run, this one is another already, so that what
    ends it is not said of the run before.
    """
    overrides = job["overrides"]
    begun = Journal(overrides["output_dir"]).count_runs() > job.get("runs_before", 0)
    return TrackedRun(
        directory=overrides["output_dir"],
        tracking_uri=overrides["tracking_uri"],
        experiment_name=overrides["experiment_name"],
        run_name=f"fold {job['fold']}",
        parent=overrides["parent_dir"],
        resume=overrides.get("resume", True) or begun,
    )


def _exit_code(error: BaseException | None, log_file: logging.Handler) -> int:
    if error is None:
        return 0
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return EXIT_KILLED
    known = find_user_error(error)
    text = format_error(known) if known else _tell_whole(error)
    print(text, file=sys.stderr)
    log_file.handle(logging.makeLogRecord({"name": __name__, "levelname": "ERROR", "msg": text}))
    return 1 if known is None or isinstance(known, TrainingDiverged) else EXIT_USER_ERROR


def _tell_whole(error: BaseException) -> str:
    """Return the traceback, and in its last line what it began with: MONAI wraps what fails within a config."""
    first = error
    while (before := first.__cause__ or (None if first.__suppress_context__ else first.__context__)) is not None:
        first = before
    trace = "".join(traceback.format_exception(error))
    return f"{trace}It began with {type(first).__name__}: {get_first_line(first)}"


def _interrupt(number: int, frame: object) -> None:
    """Stop once: Ctrl-C reaches this process and its parent, which passes it on while the status is being recorded."""
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    # Not KeyboardInterrupt: after one in eval(), which MONAI's configs use, Python ends by a signal even if caught.
    raise SystemExit(EXIT_KILLED)
