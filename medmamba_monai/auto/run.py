"""Carrying out a plan: race, choice, answer, comparison, report and package; started again it goes on."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medmamba_monai.auto.baselines import compare_with_baselines, format_baseline_command, run_baselines
from medmamba_monai.auto.choose import FILE_NAME as CHOICE_FILE
from medmamba_monai.auto.choose import Choice, choose_winner, read_choice, read_out_of_fold
from medmamba_monai.auto.cluster import open_cluster
from medmamba_monai.auto.contenders import Contender, plan_folds
from medmamba_monai.auto.fingerprint import FILE_NAME as FINGERPRINT_FILE
from medmamba_monai.auto.fingerprint import Fingerprint
from medmamba_monai.auto.plan import FILE_NAME as PLAN_FILE
from medmamba_monai.auto.plan import Candidate, Plan, read_plan
from medmamba_monai.auto.race import Race
from medmamba_monai.auto.record import FILE_NAME as RACE_FILE
from medmamba_monai.auto.record import Ledger
from medmamba_monai.auto.records import compare_with_records
from medmamba_monai.auto.report import Found, explain_missing_package, make_search_report, write_answer
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.folder_lease import hold_folder
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.core.signals import STOP_SIGNALS, catch_signals, interrupt, leave_if_stopped, say
from medmamba_monai.cross_validation.fold_server import open_fold_server
from medmamba_monai.cross_validation.launchers import tag_machines
from medmamba_monai.cross_validation.options import LOCAL
from medmamba_monai.cross_validation.published import list_published
from medmamba_monai.cross_validation.running import open_folds
from medmamba_monai.data import FoldList
from medmamba_monai.evaluation import Comparison, CrossValidationResult, read_result
from medmamba_monai.evaluation.reports.page import write_report
from medmamba_monai.evaluation.results.files import name_summary_values
from medmamba_monai.package import write_package
from medmamba_monai.tracking.dataset import RunDataset
from medmamba_monai.tracking.environment import describe_environment
from medmamba_monai.tracking.failures import describe_failure
from medmamba_monai.tracking.run import TrackedRun, choose_end_status
from medmamba_monai.training.handlers.epoch_progress import format_seconds

RUN_NAME = "auto"
"""Name of the parent run in MLflow."""

TESTED_ON = {"official-test": "official test set", "hold-out": "held-out images"}
"""What the winner is tested on, by the protocol of the folds."""


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves.

    Attributes:
        winner: name of the candidate that was chosen.
        result: of its models on what no choice has seen.
        report: page on the search.
        package: folder that judges new images; None where there is none, see `explain_missing_package`.
    """

    winner: str
    result: CrossValidationResult
    report: Path
    package: Path | None


def run_plan(output: Path, launching: Mapping[str, Any] | None = None) -> SearchResult:
    """Carry out the plan in the folder of a search, within its budget; what was done before is not done again.

    Args:
        output: folder of the search, with ``plan.json`` and the bundle.
        launching: where folds run: options of `SEARCH`, by name; by default on this machine.

    Raises:
        UserError: the plan or its options do not fit, the folds keep no test images out of every choice, or no
            candidate can be trained.
    """
    output = output.resolve()
    plan = read_plan(output)
    machines = (launching or {}).get("launcher", LOCAL) != LOCAL
    with (
        hold_folder(output, "search", machines, patience=0),
        catch_signals(STOP_SIGNALS[1:], interrupt),
        contextlib.ExitStack() as held,
    ):
        search = _Search(output, plan, Ledger(output, plan), held, launching or {})
        return search.run()


class _Search:
    """A search while it runs, in a folder that nobody else works in."""

    def __init__(
        self, output: Path, plan: Plan, ledger: Ledger, held: contextlib.ExitStack, launching: Mapping[str, Any]
    ) -> None:
        self.output, self.plan, self.ledger, self.launching = output, plan, ledger, launching
        self.contenders = {one.name: self._open(one, held) for one in plan.candidates}
        self.baselines = {one.name: self._open(one, held) for one in plan.baselines}
        first = next(iter(self.contenders.values())).running.plan
        self.card, self.fold_list, self.training = first.card, first.fold_list, first.training
        _check_folds(self.fold_list, plan)
        self.scheduler = open_cluster(output / plan.bundle, output, launching)
        self.run_of_search = TrackedRun(
            directory=output,
            tracking_uri=self.training.tracking_uri,
            experiment_name=self.training.experiment_name,
            run_name=RUN_NAME,
            dataset=RunDataset(self.card.name, self.fold_list.digest, "search"),
        )

    def run(self) -> SearchResult:
        try:
            self._start()
            trained = [*self.plan.trained_candidates, *self.plan.baselines]
            with open_fold_server(needed=bool(trained) and self.scheduler is None) as server:
                if server is not None and read_choice(self.output) is None:
                    server.wait_until_ready()
                race = Race(self.plan, self.contenders, self.ledger, server, self.scheduler)
                if race.at_once < self.plan.at_once:
                    say(
                        f"the plan counts on {self.plan.at_once} trainings at a time, here it is {race.at_once:g}: "
                        "what there is no time for is given up"
                    )
                choice = read_choice(self.output) or self._choose(race)
                winner = self.contenders[choice.winner]
                result = self._test(winner)
                self._give(choice, result, None)
                run_baselines(race, self.baselines, winner.list_finished())
            comparison = self._compare(winner)
            records = compare_with_records(winner, winner.running.review["resamples"])
            found = self._give(choice, result, comparison, records)
        except BaseException as error:
            self._record_end(error)
            raise
        return self._finish(found)

    def _open(self, candidate: Candidate, held: contextlib.ExitStack) -> Contender:
        folds = plan_folds(self.output, self.plan, candidate, self.launching)
        return Contender(candidate, held.enter_context(open_folds(folds, parent=self.output)))

    def _start(self) -> None:
        run, plan = self.run_of_search, self.plan
        run.start()
        run.journal.log_params(
            {
                "budget_seconds": plan.budget_seconds,
                "candidates": [candidate.name for candidate in plan.candidates],
                "baselines": [baseline.name for baseline in plan.baselines],
                "rounds": plan.rounds,
                "finalists": plan.finalists,
            }
        )
        tags = {"dataset": self.card.name, "protocol": self.fold_list.protocol, **tag_machines(self.scheduler)}
        run.journal.set_tags({**describe_environment(str(self.training.device)), **tags})
        run.send()

    def _choose(self, race: Race) -> Choice:
        """Race, and write the choice down before anything of a test part is read."""
        race.run_rounds()
        race.run_finals()
        folds = race.list_folds()
        read = {
            name: read_out_of_fold(self.contenders[name].folder, folds, self.card.task, self.card.display_names)
            for name in self.ledger.record.finalists
        }
        choice = choose_winner(read, folds, self.ledger.budget.spent)
        choice.write(self.output)
        self.ledger.save()
        say(
            f"chosen: {choice.winner}, out-of-fold AUC {choice.scores[choice.winner].auc:.4f} on {choice.images} images"
        )
        for name in [name for name in choice.scores if name != choice.winner]:
            score = choice.scores[name]
            reason = f"finalist, out-of-fold AUC {score.auc:.4f}; {choice.winner} was chosen"
            self.contenders[name].dismiss(reason)
        return choice

    def _test(self, winner: Contender) -> CrossValidationResult:
        """Look at the winner's test predictions, once; a review that is there is read."""
        folder = winner.folder
        if folder.review.is_file() and len(read_result(folder).folds) == len(winner.list_finished()):
            winner.end("FINISHED")
            return read_result(folder)
        winner.start()
        missing = sorted(set(range(self.plan.num_folds)) - set(winner.list_finished()))
        short = "given up, as the time of the search was short"
        winner.running.failures = dict.fromkeys(missing, self.ledger.record.failures.get(winner.name, short))
        result = winner.running.summarize(self.ledger.record.sum_seconds(winner.name))
        winner.end("FINISHED")
        self.ledger.save()
        return result

    def _compare(self, winner: Contender) -> Comparison | None:
        resamples = winner.running.review["resamples"]
        return compare_with_baselines(self.output, winner, list(self.baselines.values()), resamples)

    def _give(
        self,
        choice: Choice,
        result: CrossValidationResult,
        comparison: Comparison | None,
        records: Comparison | None = None,
    ) -> Found:
        """Write package and report; the package once, as the winner stays."""
        winner = self.contenders[choice.winner]
        if not explain_missing_package(self.plan, choice.winner):
            _write_package(winner, self.output / "package")
        compared = set() if comparison is None else {model.name for model in comparison.models}
        commands = {name: format_baseline_command(one) for name, one in self.baselines.items() if name not in compared}
        found = Found(
            title=self.card.title,
            plan=self.plan,
            record=self.ledger.record,
            choice=choice,
            result=result,
            tested_on=TESTED_ON[self.fold_list.protocol],
            comparison=comparison,
            records=records,
            published=list_published(self.card),
            commands=commands,
            known_problems=self._list_problems(),
            output=self.output,
            winner=winner.folder.path,
            spent=self.ledger.budget.spent,
        )
        write_report(RunFolder(self.output).report, make_search_report(found))
        self.ledger.save()
        return found

    def _list_problems(self) -> list[str]:
        """Return what `prepare` and the card say against the data."""
        path = self.output / FINGERPRINT_FILE
        found = read_document(path, Fingerprint).findings if path.is_file() else None
        return list(found.warnings) if found else [*self.card.known_problems, *self.fold_list.count_mismatch]

    def _finish(self, found: Found) -> SearchResult:
        run, report = self.run_of_search, RunFolder(self.output).report
        missing = explain_missing_package(self.plan, found.choice.winner)
        package = None if missing else self.output / "package"
        run.journal.log_summary({**name_summary_values(found.result), "spent_seconds": found.spent})
        run.journal.set_tags({"winner": found.choice.winner, "mlflow.note.content": write_answer(found)})
        for path in (report, *(self.output / name for name in (PLAN_FILE, RACE_FILE, CHOICE_FILE))):
            run.journal.log_artifact(path)
        run.finish("FINISHED")
        lines = [
            "",
            write_answer(found),
            f"time         {format_seconds(found.spent)} of {format_seconds(self.plan.budget_seconds)}",
            f"report       {report}",
            f"package      {package or missing}",
            f"winner       {found.winner}",
            f"plan         {self.output / PLAN_FILE}",
            *([f"new images   medmamba-monai infer {package} FOLDER_OF_IMAGES"] if package else []),
        ]
        say("\n".join(lines))
        return SearchResult(found.choice.winner, found.result, report, package)

    def _record_end(self, error: BaseException) -> None:
        """End all runs as what the error makes of them; a search that was stopped says how it goes on."""
        status, reason = choose_end_status(error), describe_failure(error)
        for contender in (*self.contenders.values(), *self.baselines.values()):
            contender.end(status, reason)
        self.run_of_search.finish(status, reason)
        self.ledger.save()
        leave_if_stopped(error, f"stopped with {format_seconds(self.ledger.budget.left)} of the budget left")


def _check_folds(fold_list: FoldList, plan: Plan) -> None:
    """Refuse folds that keep no test images out of every choice, or that are not those of the plan."""
    if not fold_list.has_test_set:
        raise UserError(
            f"{fold_list.path}: the folds keep no test images out of every choice: make them again with "
            "medmamba-monai prepare BUNDLE --hold-out 0.2 --overwrite True"
        )
    if fold_list.num_folds != plan.num_folds:
        raise UserError(
            f"{fold_list.path} has {fold_list.num_folds} folds, and the plan says num_folds {plan.num_folds}: put the "
            "number of the folds into the plan, or make the folds again"
        )


def _write_package(winner: Contender, package: Path) -> None:
    """Write the package, if it is not there; one that a killed search left half written is written anew."""
    if package.is_dir():
        return
    say(f"writing the package {package}")
    unfinished = package.with_name(".package")
    shutil.rmtree(unfinished, ignore_errors=True)
    device = winner.running.plan.training.device
    write_package(winner.folder, unfinished, "finished", device=device)
    unfinished.rename(package)
