"""What statistics of batch norms computed anew are worth in small trainings: ``python -m benchmarks.batch_norm``.

A MedMamba of a million parameters is trained on each of five folds, by the configs of a bundle with
``--precise_batch_norm True``. That changes nothing of what is learnt, so that one training serves both sides: at the
end of each epoch the network is judged with the running averages, and after its validation with the statistics computed
anew. Each side chooses its epoch by its own AUC on the validation part, as a training does, and is then tested.

The trainings are as small as the demo's, or as those that `medmamba-monai auto` gives a small dataset: :data:`CASES`.
Stopped and started again, it goes on after the last fold; ``--cases`` measures some, and keeps what the file holds of
the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow

from benchmarks.pretrain import divide
from benchmarks.report import RESULTS, load_result, markdown_table, measured_on, new_result, save_result
from medmamba_monai import Bundle
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.bundle.demo import SMALL_MEDMAMBA, find_dataset
from medmamba_monai.bundle.workflow import contain_workflow, open_workflow, run_workflow
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.core.files import write_json
from medmamba_monai.data import BatchLoader, transformed_dataset, write_phantom
from medmamba_monai.evaluation import CATALOGUE, Scores
from medmamba_monai.evaluation.reports.comparison_tables import format_p
from medmamba_monai.evaluation.results.formatting import format_difference, format_spread, format_value
from medmamba_monai.evaluation.statistics.significance import corrected_resampled_t_test

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("auc", "accuracy", "brier", "ece")
SIDES = ("running", "precise")
FOLDS = 5


class Case(NamedTuple):
    """A small training.

    Attributes:
        title: for readers.
        dataset: whose images.
        images: of the training part, of which four fifths train a fold; None for all.
        options: of the training.
        recipe: what is merged after the paper's; empty for nothing.
    """

    title: str
    dataset: str
    images: int | None
    options: dict[str, Any]
    recipe: str = ""


_DEMO = {"image_size": 64, "epochs": 4}
_AUTO = {"image_size": 64, "epochs": 8, "batch_size": 16}
CASES = {
    "phantom-demo": Case("phantom", "phantom", None, _DEMO),
    "phantom-auto": Case("phantom", "phantom", None, _AUTO, "strongly_augmented"),
    "x-rays-demo": Case("500 X-rays", "pneumoniamnist", 500, _DEMO),
    "x-rays-auto": Case("500 X-rays", "pneumoniamnist", 500, _AUTO, "strongly_augmented"),
}
"""By the name that the command takes."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has not run yet, and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.batch_norm", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "batch_norm")
    parser.add_argument("--json", type=Path, default=RESULTS / "batch_norm.json")
    options = parser.parse_args(arguments)
    result = new_result("batch_norm", {"seeds": options.seeds})
    kept = load_result(options.json)["cases"] if options.json.is_file() else {}
    found = {name: measure(name, options.seeds, options.folder.resolve()) for name in options.cases}
    result["cases"] = {name: (kept | found)[name] for name in CASES if name in kept | found}
    print(batch_norm_part(result))
    save_result(result, options.json)
    return 0


def measure(name: str, seeds: int, folder: Path) -> dict[str, Any]:
    """Train every fold of a case, and describe what both sides came to.

    Raises:
        UserError: the images are not there.
    """
    case = CASES[name]
    bundle = _open_bundle(case, folder / name)
    found = []
    for seed in range(seeds):
        for fold in range(FOLDS):
            path = folder / name / f"seed{seed}_fold{fold}.json"
            if not path.is_file():
                print(f"{name}: seed {seed}, fold {fold}", flush=True)
                write_json(path, train(bundle.root, _list_options(bundle, case, seed, fold), case.recipe))
            found.append(json.loads(path.read_text(encoding="utf-8")))
    return {"seeds": seeds, **describe(found)}


def _open_bundle(case: Case, folder: Path) -> Bundle:
    """Return the bundle of a case with its images and folds."""
    generate_bundle(ROOT / "data_lists" / case.dataset / "card.json", folder / "bundle")
    images = folder / "images"
    if case.dataset == "phantom":
        write_phantom(images)
    else:
        name, source = find_dataset(ROOT)
        if name != case.dataset or case.images is None:
            raise UserError(f"{case.title}: put {case.dataset} into MEDMAMBA_DATA_DIR")
        divide(source / f"{name}.npz", folder, case.images, unlabelled=0)
        images = folder / "labelled"
    bundle = Bundle(folder / "bundle", dataset_dir=images, data_list=folder / "folds.json")
    bundle.prepare(download=False, allow_count_mismatch=True, allow_checksum_mismatch=True)
    return bundle


def _list_options(bundle: Bundle, case: Case, seed: int, fold: int) -> dict[str, Any]:
    places = {name: str(bundle.options[name]) for name in ("dataset_dir", "data_list")}
    own = {"run_name": f"seed{seed}", "seed": seed, "fold": fold, "tracking_uri": "", "resume": False}
    return {**places, **own, "progress_bar": False, "precise_batch_norm": True, **SMALL_MEDMAMBA, **case.options}


class BothSides:
    """Judge a network at the end of each epoch, before and after its statistics are computed anew.

    The next epoch goes on with the running averages of the one before, as it would without.

    Args:
        workflow: the training, ready to be initialized.
    """

    def __init__(self, workflow: ConfigWorkflow) -> None:
        self.parser = workflow.parser
        self.chosen: dict[str, dict[str, Any]] = {}
        self._loaded: dict[str, list[dict[str, Any]]] = {}
        self._averages: list[tuple[torch.Tensor, torch.Tensor]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, before all that works at the end of its epochs, and to its evaluator."""
        evaluator = self.parser.get_parsed_content("validate#evaluator")
        engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: self._restore())
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self._judge("running", engine.state.epoch))
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self._keep())
        evaluator.add_event_handler(Events.COMPLETED, lambda other: self._judge("precise", engine.state.epoch))

    def _keep(self) -> None:
        network = self.parser.get_parsed_content("validate#evaluator").network
        self._averages = [(buffer, buffer.clone()) for buffer in network.buffers()]

    def _restore(self) -> None:
        for buffer, average in self._averages:
            buffer.copy_(average)

    def _judge(self, side: str, epoch: int) -> None:
        """Test the network if no epoch before did better on the validation part."""
        probabilities, labels = self._predict("validation")
        auc = _compute(probabilities, labels)["auc"]
        if side not in self.chosen or auc > self.chosen[side]["validation"]:
            tested, of_test = self._predict("test")
            self.chosen[side] = {"epoch": epoch, "validation": auc, "test": tested, "labels": of_test}

    def _predict(self, part: str) -> tuple[list[float], list[int]]:
        """Return the probability of the second class, and the class, of each image of a part."""
        network = self.parser.get_parsed_content("validate#evaluator").network
        mode = network.training
        network.eval()
        with torch.inference_mode():
            logits = torch.cat([network(batch["image"]) for batch in self._load(part)])
        network.train(mode)
        labels = [int(label) for batch in self._load(part) for label in batch["label"]]
        return logits.double().softmax(1)[:, 1].tolist(), labels

    def _load(self, part: str) -> Iterable[dict[str, Any]]:
        if part not in self._loaded:
            reading, preprocessing = (self.parser.get_parsed_content(f"validate#{name}") for name in _STEPS)
            data = transformed_dataset(self.parser.get_parsed_content("parts")[part], reading, preprocessing)
            self._loaded[part] = list(BatchLoader(data, batch_size=64))
        return self._loaded[part]


_STEPS = ("reading", "preprocessing")


def train(root: Path, options: Mapping[str, Any], recipe: str) -> dict[str, dict[str, Any]]:
    """Train a fold, and return by side its best epoch with the AUC that chose it and the predictions of the test part.

    Args:
        root: of the bundle.
        options: of the training.
        recipe: that is merged after the paper's; empty for none.
    """
    configs = ["train", *([f"recipes/{recipe}"] if recipe else [])]
    with contain_workflow():
        workflow = open_workflow(root, configs, "training", options, {})
        both = BothSides(workflow)
        workflow.parser.update({"train#handlers_first": [both]})
        run_workflow(workflow)
    return both.chosen


def describe(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the test metrics of every fold by side, those of the ensembles, and tests of the differences.

    Args:
        found: what `train` returns, of all folds of the first seed, then of the next.
    """
    folds = {side: [_compute(one[side]["test"], one[side]["labels"]) for one in found] for side in SIDES}
    seeds = [found[start : start + FOLDS] for start in range(0, len(found), FOLDS)]
    ensembles = {
        side: [_compute(np.mean([one[side]["test"] for one in of], 0), of[0][side]["labels"]) for of in seeds]
        for side in SIDES
    }
    tests = {}
    for metric in METRICS:
        before, after = ([fold[metric] for fold in folds[side]] for side in SIDES)
        differences = np.subtract(after, before)
        test = corrected_resampled_t_test(differences, 1 / (FOLDS - 1))
        tests[metric] = {"difference": test.mean, "p": test.p_value}
    return {"folds": folds, "ensembles": ensembles, "tests": tests, "images": len(found[0][SIDES[0]]["labels"])}


def _compute(probabilities: Any, labels: Any) -> dict[str, float]:
    scores = Scores(probabilities, labels, "binary")
    return {metric: float(CATALOGUE[metric].compute(scores)) for metric in METRICS}


def batch_norm_part(result: Mapping[str, Any]) -> str:
    """Write for each case what folds and ensembles come to on either side, and whether the folds differ."""
    tables = []
    for name, found in result["cases"].items():
        titles = [_title(CASES[name], found), *_COLUMNS]
        tables.append(markdown_table(titles, [[CATALOGUE[metric].title, *_cells(metric, found)] for metric in METRICS]))
    text = "\n\n".join(tables)
    return (
        "Statistics of batch norms: running averages, or computed anew before each validation "
        f"(`--precise_batch_norm True`).\n\n{text}\n\nA MedMamba of a million parameters at 64 pixels, trained on "
        f"four of {FOLDS} folds. Of a fold: mean ± standard deviation over folds and seeds on the test images, the "
        "difference of the means, and the p-value of the corrected resampled t-test over the pairs, not adjusted for "
        "the number of tests. Of the ensemble of the folds: mean over the seeds. Of Brier score and calibration error "
        f"(ECE), less is better. {measured_on(dict(result))} Made by `python -m benchmarks.batch_norm`."
    )


_COLUMNS = ("a fold, running", "a fold, precise", "difference", "p", "ensemble, running", "ensemble, precise")


def _title(case: Case, found: Mapping[str, Any]) -> str:
    options, recipe = case.options, case.recipe or "paper"
    return (
        f"{case.title}, recipe `{recipe}`, {options['epochs']} epochs in batches of {options.get('batch_size', 64)}, "
        f"{found['seeds']} {'seed' if found['seeds'] == 1 else 'seeds'}, {found['images']} test images"
    )


def _cells(metric: str, found: Mapping[str, Any]) -> list[str]:
    folds = [[fold[metric] for fold in found["folds"][side]] for side in SIDES]
    ensembles = [np.mean([one[metric] for one in found["ensembles"][side]]) for side in SIDES]
    test = found["tests"][metric]
    return [
        *(format_spread(metric, values) for values in folds),
        format_difference(metric, test["difference"]),
        format_p(test["p"]),
        *(format_value(metric, float(value)) for value in ensembles),
    ]


if __name__ == "__main__":
    sys.exit(main())
