"""The first half of a search: look at the images, measure the networks, write the plan."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medmamba_monai.auto import rules
from medmamba_monai.auto.cluster import open_cluster
from medmamba_monai.auto.fingerprint import Findings, Fingerprint
from medmamba_monai.auto.look import Dataset, count_possible_folds, find_dataset_name, prepare_folds
from medmamba_monai.auto.make import make_plan
from medmamba_monai.auto.measure import measure
from medmamba_monai.auto.measuring_job import FOLDER as MEASURING_FOLDER
from medmamba_monai.auto.measuring_job import measure_there
from medmamba_monai.auto.plan import FILE_NAME, Plan, read_plan
from medmamba_monai.auto.rules import Choice
from medmamba_monai.auto.starting_weights import look_at_weights
from medmamba_monai.auto.take_fingerprint import take_fingerprint
from medmamba_monai.auto.text import TEXT_NAME, write_plan_text
from medmamba_monai.auto.words import describe_time
from medmamba_monai.core.defaults import NUM_FOLDS
from medmamba_monai.core.documents import read_document
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.launchers import SCHEDULERS
from medmamba_monai.cross_validation.starting_weights import identify_starting_weights
from medmamba_monai.data import FoldList
from medmamba_monai.data.prepare.report import REPORT_NAME, collect_warnings

_LEFT = ("bundles", "data_lists", "fingerprint.json", "places.json", TEXT_NAME, MEASURING_FOLDER, *SCHEDULERS)
_PREPARE = 10.0  # seconds that preparing takes beside reading the images


def plan_search(
    output: Path,
    take_dataset: Callable[[], Dataset],
    budget: float,
    image_size: int | None = None,
    started: float | None = None,
    pretrained: Path | None = None,
    launching: Mapping[str, Any] | None = None,
) -> tuple[Plan, Fingerprint]:
    """Look at a dataset and write ``fingerprint.json``, ``plan.json`` and ``plan.md``.

    Args:
        output: folder of the search.
        take_dataset: puts the dataset's bundle there.
        budget: seconds for everything.
        image_size: side in pixels that was asked for; by default the rules choose one.
        started: when the budget began to run, as `time.time` tells it; by default now.
        pretrained: weights that candidates may begin with: a file, or the folder of a run or a package.
        launching: where trainings run, and with it where networks are measured: options of `SEARCH`, by name.

    Raises:
        UserError: the images, their labels, the weights or the budget do not fit, the weights have seen images that a
            fold is judged by, or the cluster does not answer.
    """
    started = time.time() if started is None else started
    dataset, launching = take_dataset(), launching or {}
    cluster = open_cluster(dataset.bundle, output, launching)
    seen = take_fingerprint(dataset.card, dataset.folder, dataset.samples)
    hold_out = rules.choose_hold_out(seen).value
    folds = count_possible_folds(dataset, hold_out, 0)
    if pretrained is not None:
        weights = look_at_weights(pretrained, dataset.card, min(NUM_FOLDS, folds))
        seen = seen.model_copy(update={"pretrained": weights})
    asked = None if image_size is None else Choice(image_size, "As it was asked for.")
    training = {"amp": launching["amp"]} if "amp" in launching else {}
    if cluster is None:
        seen, size, batch_size = measure(dataset.bundle, seen, budget, asked, training)
    else:
        at_once = launching["jobs"] if isinstance(launching.get("jobs"), int) else 1
        seen, size, batch_size = measure_there(cluster, output, dataset.bundle, seen, budget, asked, training, at_once)
    looked = time.time() - started + _PREPARE + seen.seconds_per_image * (seen.images + seen.test_images)
    images, weights_place = str(dataset.folder.root), "" if pretrained is None else str(pretrained.absolute())
    plan = make_plan(seen, size, batch_size, folds, budget, looked, images, weights_place)
    listed = prepare_folds(output, plan, dataset.folder.allow_links)
    identify_starting_weights(pretrained, listed, range(listed.num_folds))
    seen = seen.model_copy(update={"findings": _read_findings(listed)})
    plan = plan.model_copy(update={"looked_seconds": round(time.time() - started, 1)})
    seen.write(output)
    write_plan_text(plan, seen, output)
    plan.write(output)  # last: a plan that is there is used
    return plan, seen


def _read_findings(folds: FoldList) -> Findings:
    report = json.loads(folds.path.with_name(REPORT_NAME).read_text(encoding="utf-8"))
    return Findings(
        image_sizes=report["image_sizes"],
        copies=report["duplicates"]["images"],
        warnings=(*collect_warnings(report), *report["known_problems"]),
    )


def open_plan(
    output: Path, budget: float | None = None, dataset_dir: str | None = None, pretrained: Path | None = None
) -> Plan | None:
    """Read the plan of a folder, make the folds that it asks for and write its text anew; None where there is none.

    Args:
        output: folder of the search.
        budget: seconds that were asked for, if they were.
        dataset_dir: where the images are now, if they were moved.
        pretrained: where the starting weights are now, likewise.

    Raises:
        UserError: the plan does not fit, or another budget or starting weights that it has not are asked for.
    """
    if not (output / FILE_NAME).is_file():
        return None
    plan = read_plan(output)
    if budget not in (None, plan.budget_seconds):
        raise UserError(
            f"--budget {describe_time(budget or 0)}: {output / FILE_NAME} was made for "
            f"{describe_time(plan.budget_seconds)}; leave the option out to use that plan, change its "
            "budget_seconds, or give another --output"
        )
    if pretrained is not None:
        plan = place_weights(plan, pretrained, output / FILE_NAME)
    if dataset_dir is not None:
        plan = plan.model_copy(update={"dataset_dir": str(Path(dataset_dir).absolute())})
    if pretrained is not None or dataset_dir is not None:
        plan.write_places(output)
    prepare_folds(output, plan)
    fingerprint = output / "fingerprint.json"
    seen = read_document(fingerprint, Fingerprint) if fingerprint.is_file() else None
    write_plan_text(plan, seen, output)
    return plan


def check_source(plan: Plan, output: Path, images: Path | None, bundle: str | None) -> None:
    """Refuse images or a bundle that are not those of the plan that is there.

    Args:
        plan: of the folder.
        output: folder of the search.
        images: those that were given, if they were.
        bundle: likewise.

    Raises:
        UserError: the plan is of others.
    """
    other = f"{output / FILE_NAME} is of {plan.dataset!r}"
    place = Path(plan.dataset_dir).resolve() if plan.dataset_dir else None
    if images is not None and place is not None and not images.resolve().is_relative_to(place):
        raise UserError(
            f"--images {images}: {other} in {place}; give another --output for these images, or --dataset-dir, too, if "
            "those were moved here"
        )
    if bundle is not None and (name := find_dataset_name(bundle)) != plan.dataset:
        raise UserError(f"--bundle {bundle}: is of {name!r}, and {other}; give another --output")


def check_output(output: Path) -> None:
    """Refuse a folder without a plan that holds anything but what a stopped start left: files there are replaced.

    Raises:
        UserError: it holds something else.
    """
    others = [path for path in sorted(output.glob("*")) if path.name not in _LEFT and not path.name.startswith(".")]
    others += sorted(output.glob("bundles/*/output/*"))
    if others:
        raise UserError(
            f"--output {output}: holds {others[0].relative_to(output)} and no {FILE_NAME}, so it is no folder of a "
            "search; give a new one"
        )


def place_weights(plan: Plan, pretrained: Path, file: Path) -> Plan:
    """Return a plan that knows where its starting weights are.

    Args:
        plan: names them.
        pretrained: where they are.
        file: of the plan, for messages.

    Raises:
        UserError: it was made without starting weights.
    """
    if plan.pretrained is None:
        raise UserError(
            f"--pretrained {pretrained}: {file} was made without starting weights; give another --output for a plan "
            "that has them"
        )
    return plan.model_copy(update={"pretrained_place": str(pretrained.absolute())})


def take_plan(output: Path, file: Path, dataset: Dataset, budget: float | None, pretrained: Path | None = None) -> Plan:
    """Put a plan from elsewhere into the folder of a search, for the images that are here.

    Args:
        output: folder of the search.
        file: of the plan; where it lies beside a search, the starting weights are looked for where that found them.
        dataset: the images.
        budget: seconds in place of the plan's; None for these.
        pretrained: where the starting weights are.

    Raises:
        UserError: it does not fit, or is of another dataset.
    """
    plan = read_plan(file.parent) if file.name == FILE_NAME else read_document(file, Plan)
    if plan.dataset != dataset.card.name:
        raise UserError(f"--plan {file}: is of {plan.dataset!r}, the images are {dataset.card.name!r}")
    here = {"bundle": f"bundles/{dataset.card.name}", "dataset_dir": str(dataset.folder.root), "looked_seconds": 0.0}
    plan = plan.model_copy(update={**here, **({"budget_seconds": budget} if budget else {})})
    plan = plan if pretrained is None else place_weights(plan, pretrained, file)
    prepare_folds(output, plan, dataset.folder.allow_links)
    write_plan_text(plan, None, output)
    plan.write(output)
    return plan
