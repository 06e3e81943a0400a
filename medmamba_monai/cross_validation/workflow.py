"""The cross-validation of a bundle: one process a fold, one MLflow parent run with a child for each fold."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.cross_validation.fold_jobs import FoldJob, run_jobs
from medmamba_monai.cross_validation.fold_process import EXIT_KILLED, open_fold_run
from medmamba_monai.cross_validation.folder_lock import lock_folder
from medmamba_monai.cross_validation.hints import command_again, where_to_look
from medmamba_monai.cross_validation.recipes import PAPER, recipe_files, recipe_names
from medmamba_monai.cross_validation.review_again import make_review, save_description
from medmamba_monai.cross_validation.review_options import check_review_options
from medmamba_monai.cross_validation.summary import CrossValidationSummary
from medmamba_monai.data import read_fold_list
from medmamba_monai.networks import NETWORKS
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.mlflow_store import check_tracking_uri
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.handlers.progress import format_seconds
from medmamba_monai.training.options import check_options

FREE_TO_CHANGE = (
    "dataset_dir",
    "data_list",
    "device",
    "num_workers",
    "cache",
    "progress_bar",
    "resume",
    "tensorboard",
    "tracking_uri",
)
"""Parameters that may differ when a cross-validation goes on; all others would make it another one."""


MEMORY_SHARE = 0.4
"""Part of the available memory that the images of one dataset may take; folds that run at a time share it."""


class CrossValidation:
    """Train and evaluate a network once a fold, and review the folds together.

    Each fold runs `fold_process` on the bundle's own ``train.json`` and ``evaluate.json``. Started again with the same
    name, finished folds are skipped and the others go on after their last epoch; with the parameter ``resume`` False
    the folds asked for are trained anew.

    Args:
        bundle_root: folder of the bundle.
        output_dir: folder of this cross-validation; each fold gets ``fold_<k>`` in it.
        card: the dataset's card.
        config_files: training configs relative to ``bundle_root``, merged from left to right.
        evaluate_files: evaluation overlays, merged after them.
        parameters: top-level values of the training config by name.
        overrides: further plain values of the training config, such as ``{"train#trainer#amp": True}``; what is more
            than a value belongs into a further config file.
        folds: number or numbers of the folds to run; None for all.
        jobs: how many folds run at a time.
        recipe: names of recipes of the bundle, merged after ``config_files``.
        review: ``resamples`` and ``seed`` of the bootstrap, and ``with_images``, see `check_review_options`.
    """

    def __init__(
        self,
        bundle_root: str | Path,
        output_dir: str | Path,
        card: str | Path,
        config_files: Sequence[str],
        evaluate_files: Sequence[str],
        parameters: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        folds: int | Sequence[int] | None = None,
        jobs: int = 1,
        recipe: str | Sequence[str] = PAPER,
        review: Mapping[str, Any] | None = None,
    ) -> None:
        check_options(parameters)
        self.review_options = check_review_options(review or {})
        self.bundle_root = Path(bundle_root).resolve()
        self.output_dir = Path(output_dir).resolve()
        self.card_path = Path(card).resolve()
        self.card = load_card(self.card_path)
        self.config_names = list(config_files)
        self.recipe = ",".join(recipe_names(recipe)) or PAPER
        names = [*config_files, *recipe_files(recipe, self.bundle_root)]
        self.config_files = [str(self._existing(name)) for name in names]
        self.evaluate_files = [str(self._existing(name)) for name in evaluate_files]
        self.parameters = _plain(parameters)
        if (network := self.parameters["network"]) not in NETWORKS:
            raise UserError(f"--network {network}: does not exist; choose one of {', '.join(NETWORKS)}")
        self.overrides = dict(overrides or {})
        self.fold_list = read_fold_list(
            self.parameters["data_list"], self.parameters["dataset_dir"], name=self.card.name
        )
        self.folds = self._checked_folds(folds)
        if jobs < 1:
            raise UserError(f"--jobs {jobs}: at least one fold must run at a time")
        self.jobs = jobs
        self.failures: dict[int, str] = {}
        self.run_handle = TrackedRun(
            directory=self.output_dir,
            tracking_uri=self.parameters["tracking_uri"],
            experiment_name=self.parameters["experiment_name"],
            run_name=self.parameters["run_name"],
            resume=not self._starts_afresh,
            dataset=RunDataset(self.card.name, self.fold_list.digest, "cross-validation"),
        )

    def run(self) -> None:
        """Run what is not finished, then summarize.

        Raises:
            UserError: the output folder holds a cross-validation with other settings or is in use, or a fold failed.
        """
        with lock_folder(self.output_dir):
            if self._starts_afresh:
                self._settings_path.unlink(missing_ok=True)
            self._check_same_settings()
            if not self.parameters["resume"]:
                for fold in self.folds:
                    self._result(fold).unlink(missing_ok=True)
            self._run_and_finish()

    @property
    def _starts_afresh(self) -> bool:
        """Whether every fold is trained anew, so that nothing of what was there before remains."""
        return not self.parameters["resume"] and set(self.folds) == set(range(self.fold_list.num_folds))

    def _run_and_finish(self) -> None:
        before = signal.signal(signal.SIGTERM, _interrupt)
        began = time.time()
        try:
            self._start_parent()
            self._run_folds()
            self._summarize(time.time() - began)
        except BaseException as error:
            self.run_handle.finish(choose_end_status(error))
            if isinstance(error, KeyboardInterrupt):
                print("stopped; start the same command again to go on where it was", flush=True)
                sys.exit(EXIT_KILLED)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
        self._finish()

    def _start_parent(self) -> None:
        run = self.run_handle
        run.start()
        run.journal.log_params({**self.parameters_to_log(), "num_folds": self.fold_list.num_folds})
        tags = {
            "dataset": self.card.name,
            "fold_digest": self.fold_list.digest,
            "protocol": self.fold_list.protocol,
            "count_mismatch": "; ".join(self.fold_list.count_mismatch) or "none",
        }
        run.journal.set_tags({**describe_environment(self.parameters["device"]), **tags})
        run.send()

    def _run_folds(self) -> None:
        unfinished = [fold for fold in self.folds if not self._result(fold).is_file()]
        for fold in self.folds:
            if fold not in unfinished:
                print(f"fold {fold} is finished: {self._result(fold)}", flush=True)
        jobs = [self._job(fold, len(unfinished) - number - 1) for number, fold in enumerate(unfinished)]
        run_jobs(jobs, self.jobs, self._fold_ended)

    def _fold_ended(self, job: FoldJob, code: int) -> None:
        if code == 0:
            return
        killed = code < 0 or code == EXIT_KILLED
        reason = f"killed by signal {-code}" if code < 0 else "stopped" if killed else f"exit code {code}"
        self.failures[job.fold] = reason
        if code < 0:
            open_fold_run(job.content).finish("KILLED")
        print(f"fold {job.fold} did not finish ({reason}); its log: {job.directory / 'log.txt'}", flush=True)

    def _summarize(self, seconds: float) -> None:
        summary = CrossValidationSummary(self.output_dir, self.card, self.fold_list, self.failures)
        summary.write()
        title = f"{self.run_handle.run_name}: {NETWORKS[self.parameters['network']]} on {self.card.title}"
        details = {**self.parameters_to_log(), "time of the last start": format_seconds(seconds)}
        summary.log(self.run_handle, title, self._command(), details)
        print(summary.text, flush=True)
        if summary.combined is not None:
            description: dict[str, Any] = {"title": title, "command": self._command(), "details": details}
            save_description(summary, self.card_path, self.parameters, description)
            make_review(summary, self.run_handle, self.review_options, description)
        print(self._where(seconds), flush=True)

    def _finish(self) -> None:
        self.run_handle.finish("FAILED" if self.failures else "FINISHED")
        if self.failures:
            listed = ", ".join(f"{fold} ({reason})" for fold, reason in sorted(self.failures.items()))
            raise UserError(f"folds that did not finish: {listed}. Start the same command again to go on with them.")

    def _job(self, fold: int, jobs_after: int) -> FoldJob:
        directory = self.output_dir / f"fold_{fold}"
        directory.mkdir(parents=True, exist_ok=True)
        overrides = {
            **self.parameters,
            "bundle_root": str(self.bundle_root),
            "fold": fold,
            "output_dir": str(directory),
            "ckpt_dir": str(directory),
            "parent_dir": str(self.output_dir),
            "finish_run": False,
            "trainings_after": -(-jobs_after // self.jobs),
            "memory_share": MEMORY_SHARE / self.jobs,
            **self.overrides,
        }
        content = {
            "fold": fold,
            "bundle_root": str(self.bundle_root),
            "config_files": self.config_files,
            "evaluate_files": self.evaluate_files,
            "overrides": overrides,
        }
        return FoldJob(fold, directory, content)

    def parameters_to_log(self) -> dict[str, Any]:
        """The parameters that say what was trained, without folders, servers and switches."""
        hidden = (*FREE_TO_CHANGE, "experiment_name", "run_name", "val_interval")
        shown = {key: value for key, value in self.parameters.items() if key not in hidden and value is not None}
        return {**shown, "recipe": self.recipe}

    def _where(self, seconds: float) -> str:
        finished = [fold for fold in range(self.fold_list.num_folds) if self._result(fold).is_file()]
        run_id = self.run_handle.run_id
        return where_to_look(self.parameters, self.bundle_root, self.output_dir, run_id, finished, seconds)

    def _command(self) -> str:
        return command_again(self.parameters_to_log(), self.bundle_root, self.config_names, self.overrides)

    def _check_same_settings(self) -> None:
        path = self._settings_path
        fixed = {key: value for key, value in self.parameters.items() if key not in FREE_TO_CHANGE}
        settings = {
            **fixed,
            "config_files": self.config_names,
            "recipe": self.recipe,
            "overrides": self.overrides,
            "fold_digest": self.fold_list.digest,
        }
        settings = json.loads(json.dumps(settings))
        saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else settings
        for key in sorted(saved.keys() | settings.keys()):
            if saved.get(key) != settings.get(key):
                raise UserError(
                    f"{self.output_dir} holds a cross-validation with {key} {saved.get(key)!r}, but "
                    f"{settings.get(key)!r} is asked for: use the same value to go on, or another --run_name"
                )
        write_json(path, settings)

    def _checked_folds(self, folds: int | Sequence[int] | None) -> list[int]:
        known = range(self.fold_list.num_folds)
        if folds is None:
            return list(known)
        chosen = [folds] if isinstance(folds, int) else list(dict.fromkeys(folds))
        for fold in chosen:
            if fold not in known:
                raise UserError(f"--folds {fold} does not exist: the list has folds 0 to {len(known) - 1}")
        return chosen

    def _existing(self, name: str) -> Path:
        path = self.bundle_root / name
        if not path.is_file():
            raise UserError(f"no config {path}: run in the bundle's folder, or pass --bundle_root")
        return path

    @property
    def _settings_path(self) -> Path:
        return self.output_dir / "settings.json"

    def _result(self, fold: int) -> Path:
        return self.output_dir / f"fold_{fold}" / "result.json"


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values that JSON can carry to the fold processes, with paths that hold from any folder."""
    plain = {**parameters, "device": str(parameters["device"])}
    for key in ("dataset_dir", "data_list"):
        plain[key] = str(Path(plain[key]).resolve())
    plain["run_name"] = str(plain["run_name"])
    if plain["tracking_uri"]:
        plain["tracking_uri"] = check_tracking_uri(plain["tracking_uri"])
    return plain


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")
