"""What a server keeps of a federation: its results as JSON, and one MLflow experiment of all sites and their mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.federation.agreement import Facts
from medmamba_monai.federation.options import MAY_CHANGE, Plan
from medmamba_monai.federation.progress import Progress
from medmamba_monai.tracking import TrackedRun

Metrics = Mapping[str, float]
RESULTS = "federation"
"""Folder of the results in that of NVFlare's run on the server."""


class FederationRecord:
    """The results of a federation, written after each round; those of one that was stopped are gone on with.

    The parent run is of the means over the sites; each site has a child, made by the server of what the site sent, so
    that no site needs the store and no folder of one is named there.

    Args:
        folder: of the results.
        plan: of the federation.
        tracking_uri: MLflow store; empty for none.

    Raises:
        UserError: the folder has results of another federation.
    """

    def __init__(self, folder: Path, plan: Plan, tracking_uri: str) -> None:
        self.folder, self.plan, self.tracking_uri = RunFolder(folder), plan, tracking_uri
        earlier = read_results(folder)
        check_same_federation(folder, earlier, plan)
        self.content: dict[str, Any] = {
            "identity": plan.identity,
            "options": plan.options.values(),
            "training": plan.training,
            "finished": False,
            **{name: earlier.get(name, empty) for name, empty in (("sites", {}), ("folds", {}), ("silent", []))},
        }
        self._runs: dict[str, TrackedRun] = {}
        self._parent: TrackedRun | None = None

    def join(self, facts: Mapping[str, Facts]) -> None:
        """Note what sites say that answer for the first time, and begin their runs; the first begin that of all.

        Args:
            facts: by site.
        """
        self.content["sites"].update(facts)
        self._write()
        for site, said in sorted(facts.items()):
            parent = self._parent = self._parent or self._begin(said["title"])
            name = f"{self.plan.options.run_name}: {site}"
            folder = self.folder.path / "sites" / site
            run = TrackedRun(folder, self.tracking_uri, parent.experiment_name, name, self.folder.path)
            run.start()
            run.journal.set_tags({"site": site})
            run.journal.log_params({f"images/{part}": counts for part, counts in said["images"].items()})
            self._runs[site] = run
        self._send()

    def is_tested(self, fold: int) -> bool:
        """Return whether a fold has been tested."""
        return "test" in self._fold(fold)

    def find_progress(self, fold: int) -> Progress | None:
        """Return how far a fold was trained when the federation was stopped, and forget what came later; None: not.

        Raises:
            UserError: the file of it is damaged.
        """
        path = self.folder.fold(fold).progress
        progress = Progress.read(path) if path.is_file() else None
        number = 0 if progress is None else progress.number
        del self._fold(fold)["rounds"][number:]
        self.content["silent"] = [
            entry for entry in self.content["silent"] if entry["fold"] != fold or entry["round"] <= number
        ]
        return progress

    def keep_progress(self, fold: int, progress: Progress) -> None:
        """Keep how far a fold is trained.

        Raises:
            UserError: it cannot be written.
        """
        progress.write(self.folder.fold(fold).progress)

    def add_round(self, fold: int, number: int, by_site: Mapping[str, Metrics], mean: Metrics) -> None:
        """Note metrics of a round; others of the same round stay."""
        rounds = self._fold(fold)["rounds"]
        if len(rounds) < number:
            rounds.append({"round": number, "sites": {}, "mean": {}})
        rounds[-1]["mean"] |= mean
        for site, values in by_site.items():
            rounds[-1]["sites"].setdefault(site, {}).update(values)
        self._log(fold, number, by_site, mean)

    def add_test(self, fold: int, number: int, by_site: Mapping[str, Metrics], mean: Metrics) -> None:
        """Note the test of a fold, by the weights of its best round."""
        self._fold(fold).update(best_round=number, test={"sites": dict(by_site), "mean": dict(mean)})
        self._log(fold, number, by_site, mean)

    def note_silent(self, fold: int, number: int, task: str, sites: Sequence[str]) -> None:
        """Note sites that did not answer in time."""
        self.content["silent"] += [{"fold": fold, "round": number, "task": task, "sites": list(sites)}]

    def finish(self) -> None:
        """End the runs."""
        self.content["finished"] = True
        self._end("FINISHED", "")

    def fail(self, reason: str) -> None:
        """Note why the federation failed, and end the runs that were begun."""
        self.content["failure"] = reason
        self._end("FAILED", reason)

    def _begin(self, title: str) -> TrackedRun:
        """Begin the run of the means; all runs are in one experiment, named after the images of the first site."""
        run = TrackedRun(self.folder.path, self.tracking_uri, f"{title} (federation)", self.plan.options.run_name)
        run.start()
        run.journal.log_params({**self.plan.training, **self.plan.options.values()})
        return run

    def _fold(self, fold: int) -> dict[str, Any]:
        found: dict[str, Any] = self.content["folds"].setdefault(str(fold), {"rounds": []})
        return found

    def _log(self, fold: int, number: int, by_site: Mapping[str, Metrics], mean: Metrics) -> None:
        self._write()
        runs = [(self._parent, mean), *((self._runs[site], values) for site, values in by_site.items())]
        for run, values in runs:
            if run is not None:
                run.journal.log_metrics({f"fold_{fold}/{name}": value for name, value in values.items()}, number)
        self._send()

    def _send(self) -> None:
        for run in filter(None, (self._parent, *self._runs.values())):
            run.send(force=False)

    def _end(self, status: str, reason: str) -> None:
        self._write()
        for run in filter(None, (self._parent, *self._runs.values())):
            run.finish(status, reason)

    def _write(self) -> None:
        write_json(self.folder.federation, self.content)


def read_results(folder: Path) -> dict[str, Any]:
    """Return what a federation left in a folder, whether it has finished or not; empty where there is nothing.

    Raises:
        UserError: it cannot be read.
    """
    path = RunFolder(folder).federation
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); name a new folder for the results") from error


def check_same_federation(folder: Path, found: Mapping[str, Any], plan: Plan) -> None:
    """Refuse to go on with another federation, or with one of other options.

    Args:
        folder: of the results.
        found: what is there; empty for nothing.
        plan: of the federation.

    Raises:
        UserError: says what differs.
    """
    if not found:
        return
    if found["identity"] != plan.identity:
        raise UserError(
            f"{folder}: holds another federation; give this one another --run_name, or a new folder for its results"
        )
    before = {**found["training"], **found["options"]}
    now = json.loads(json.dumps({**plan.training, **plan.options.values()}))
    for name in sorted((before.keys() | now.keys()) - set(MAY_CHANGE)):
        if before.get(name) != now.get(name):
            raise UserError(
                f"{folder}: holds a federation with {name} {before.get(name)!r}, but {now.get(name)!r} is asked for; "
                "use the same value to go on, or a new folder for the results"
            )
