"""Candidates of a plan as cross-validations whose folds a search runs one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.auto.estimate import count_epochs, estimate_training
from medmamba_monai.auto.plan import FILE_NAME, Candidate, Plan
from medmamba_monai.bundle.workflow import contain_workflow, open_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.fold_process import read_training
from medmamba_monai.cross_validation.fold_server import FoldServer
from medmamba_monai.cross_validation.options import LOCAL
from medmamba_monai.cross_validation.plan import Plan as FoldsPlan
from medmamba_monai.cross_validation.plan import make_plan
from medmamba_monai.cross_validation.running import RunningFolds
from medmamba_monai.tracking.mlflow_store import default_tracking_uri
from medmamba_monai.training.handlers.resumable_checkpoint import count_saved_epochs

STOPPED_TAG = "stopped"
"""Tag that says why a candidate was not trained to the end."""


def plan_folds(output: Path, plan: Plan, candidate: Candidate, launching: Mapping[str, Any] | None = None) -> FoldsPlan:
    """Return the cross-validation of a candidate, with the defaults of its bundle; nothing is written.

    Args:
        output: folder of the search.
        plan: that the candidate is of.
        candidate: what is trained.
        launching: options that say where its folds run; a probe, which is fitted in this process, takes none.

    Raises:
        UserError: an option does not fit.
    """
    there = (launching or {}) if candidate.probe is None else {}
    alone = {} if there.get("launcher", LOCAL) != LOCAL else {"jobs": 1}
    values = {**candidate.options(plan), "tracking_uri": default_tracking_uri(output), **there, **alone}
    if candidate.pretrained and not plan.pretrained_place:
        raise UserError(
            f"{output / FILE_NAME}: {candidate.name} begins with starting weights ({plan.pretrained}), and nothing "
            "says where they are: give --pretrained, too"
        )
    with contain_workflow():
        workflow = open_workflow(output / plan.bundle, ["cross_validation"], "cross_validation", values, {})
        described = workflow.parser.get_parsed_content("workflow")
        folds = make_plan(described.bundle_root, described.options, described.training_options)
    if candidate.pretrained and folds.pretrained != plan.pretrained:
        raise UserError(
            f"{output / FILE_NAME}: pretrained is {plan.pretrained}, and {plan.pretrained_place} holds "
            f"{folds.pretrained}: give the --pretrained that the plan was made for, or put these into the plan"
        )
    return folds


class Contender:
    """A candidate, or a baseline, while its folds are run.

    Args:
        candidate: what is trained.
        running: its cross-validation.
    """

    def __init__(self, candidate: Candidate, running: RunningFolds) -> None:
        self.candidate = candidate
        self.running = running
        self._started = False

    @property
    def name(self) -> str:
        """Name of the candidate."""
        return self.candidate.name

    @property
    def is_local(self) -> bool:
        """Whether its folds run on this machine."""
        return self.candidate.probe is not None or self.running.plan.options.launcher == LOCAL

    @property
    def folder(self) -> RunFolder:
        """Folder of the cross-validation."""
        return self.running.folder

    def count_trained(self, fold: int) -> int:
        """Return the epoch at which a fold's training ended or paused last; 0 before that."""
        training = read_training(self.folder.fold(fold))
        return 0 if training is None else int(training["epochs"])

    def count_saved(self, fold: int) -> int:
        """Return the epoch from which a fold's training would go on, also one that was stopped in between."""
        return count_saved_epochs(self.folder.fold(fold).checkpoints)

    def has_finished(self, fold: int) -> bool:
        """Say whether a fold is trained and evaluated."""
        return self.folder.fold(fold).result.is_file()

    def list_finished(self) -> list[int]:
        """Return the numbers of the folds that are trained and evaluated."""
        return [fold for fold in self.folder.find_folds() if self.has_finished(fold)]

    def start(self) -> None:
        """Begin the run in MLflow, or go on with it."""
        if not self._started:
            self._started = True
            self.running.start()

    def train(self, fold: int, until: int | None, server: FoldServer | None, on_look: Callable[[], None]) -> float:
        """Train a fold up to an epoch, or to its end, after which it is evaluated.

        Args:
            fold: its number.
            until: epoch after which it pauses; None for none.
            server: what forks the process.
            on_look: called a few times a second; what it raises stops the process.

        Returns:
            The seconds that it took.

        Raises:
            UserError: the training failed.
        """
        self.start()
        began = time.monotonic()
        self.running.run_folds([fold], server, on_look, pause_after=until)
        if fold in self.running.failures:
            raise UserError(f"{self.name}, fold {fold}: {self.running.failures[fold]}")
        return time.monotonic() - began

    def end(self, status: str, reason: str = "") -> None:
        """End the run in MLflow, if it was begun, as FINISHED, FAILED or KILLED, and say why it did not finish.

        One that has finished is said to have also where an earlier start, which was killed, has begun it.
        """
        run = self.running.tracked_run
        left_open = status == "FINISHED" and run.journal.started and run.journal.status != "FINISHED"
        if self._started or left_open:
            run.finish(status, reason)
            self._started = False

    def dismiss(self, reason: str) -> None:
        """End the run in MLflow of a candidate that goes no further; the reason stands in its tag ``stopped``."""
        run = self.running.tracked_run
        if self._started or run.journal.started:  # also where an earlier start trained it
            run.journal.set_tags({STOPPED_TAG: reason})
            run.finish("FINISHED")
            self._started = False


def estimate_step(plan: Plan, contender: Contender, fold: int, until: int | None) -> float:
    """Return the seconds that a plan gives to the process that trains a fold up to an epoch, or to its end.

    Args:
        plan: that the contender is of.
        contender: what is trained.
        fold: its number.
        until: epoch after which it pauses; None for its end, after which it is evaluated.
    """
    epochs = (until or count_epochs(plan, contender.candidate)) - contender.count_saved(fold)
    return estimate_training(plan, contender.candidate, max(epochs, 0)) + (plan.costs.evaluation if not until else 0)
