"""A federation against pooled images and against each site alone: ``python -m benchmarks.federation --json FILE``.

Two or more sites have the phantom, or PneumoniaMNIST divided between them, with intensities shifted by site and a class
that is rare at some. All ways train the same network for the same number of passes over the images, and
are compared by DeLong's test, which is paired: on the test images of all sites together, and on those of each site.
Sites answer in one process; what travels, and in which order, is as with NVFlare.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from benchmarks.federation_comparison import ALONE, FEDERATED, POOLED, Scores, compare_ways
from benchmarks.federation_sites import DATASETS, PHANTOM, pool_images, write_sites
from benchmarks.pages.federation import list_rows, list_site_rows
from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.data import read_fold_list
from medmamba_monai.evaluation import Predictions, read_predictions
from medmamba_monai.federation.coordinator import Coordinator
from medmamba_monai.federation.job import make_filter
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.site import read_site
from medmamba_monai.federation.site_worker import TRAIN, Answer, SiteWorker

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"depths": [1, 1], "channels": [16, 32], "image_size": 32, "batch_size": 16, "amp": False}
WAYS: dict[str, dict[str, Any]] = {
    FEDERATED: {},
    "FedProx, mu 0.1": {"proximal": 0.1},
    "FedBN": {"local_batch_norm": True},
    "FedAvg, percentile filter": {"privacy": "percentile"},
    "FedAvg, sparse vector filter": {"privacy": "svt"},
}
"""Options of each federation."""
SHORT = {"fedavg": FEDERATED, **dict(zip(("fedprox", "fedbn", "percentile", "svt"), list(WAYS)[1:], strict=True))}
"""Ways by the names that ``--ways`` takes."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Train each way, compare, print and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.federation", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "federation_benchmark", help="made anew")
    parser.add_argument("--data", choices=DATASETS, default=PHANTOM)
    parser.add_argument("--dataset-dir", type=Path, metavar="FOLDER", help="folder of pneumoniamnist.npz")
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument(
        "--images",
        type=int,
        default=400,
        help="phantom: training images of a site, before nodules are left out; pneumoniamnist: of all sites together",
    )
    parser.add_argument("--ways", nargs="*", choices=list(SHORT), default=list(SHORT), help="beside FedAvg")
    parser.add_argument("--rounds", type=int, default=20)
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.images, options.rounds = (20 if options.data == PHANTOM else 200), 1
    torch.set_num_threads(1)
    result = measure(options)
    print(text_table(*list_rows(result)), text_table(*list_site_rows(result)), sep="\n\n")
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train each way and compare it with the federation; returns the result."""
    told = {name: getattr(options, name) for name in ("data", "sites", "images", "rounds", "quick")}
    if set(options.ways) != set(SHORT):
        told["ways"] = options.ways
    result, begun = new_result("federation", told), time.monotonic()
    shutil.rmtree(options.folder, ignore_errors=True)
    folder = options.folder.resolve()
    card = write_sites(folder, options.data, options.sites, options.images, NETWORK["image_size"], options.dataset_dir)
    sites = [f"site_{number + 1}" for number in range(options.sites)]
    pool_images(folder, sites, card)
    chosen = [title for name, title in SHORT.items() if name in options.ways or title == FEDERATED]
    found = {title: _train(folder, sites, title, options.rounds, WAYS[title]) for title in chosen}
    found[POOLED] = _train(folder, ["pooled"], POOLED, options.rounds, {})
    alone = [_train(folder, [site], f"{ALONE}: {site}", options.rounds, {}) for site in sites]
    found[ALONE] = {name: score for scores in alone for name, score in scores.items()}
    images = {site: count_training(folder, site) for site in sites}
    seconds = time.monotonic() - begun
    return {**result, "seconds": seconds, "training_images": images, "ways": compare_ways(found, sites)}


def count_training(folder: Path, site: str) -> dict[str, int]:
    """Count the training images of a site in fold 0 by class."""
    items = read_fold_list(folder / site / "folds.json", folder / site / "images").parts(0)["train"]
    names = load_card(folder / site / "bundle" / "configs" / "card.json").display_names
    labels = [int(item["label"]) for item in items]
    return {name: labels.count(label) for label, name in enumerate(names)}


def _train(folder: Path, sites: Sequence[str], title: str, rounds: int, options: Mapping[str, Any]) -> Scores:
    """Train fold 0 of some sites together; return score and label of each test image."""
    plan = Plan.of(
        {**NETWORK, "rounds": rounds, "folds": [0], "run_name": title, "learning_rate": 0.002, **options}, title
    )
    workers = {site: SiteWorker(read_site(folder, site)) for site in sites}
    privacy = make_filter(plan.options.privacy)

    def ask(task: str, weights: Any, fold: int, number: int, asked: Sequence[str]) -> dict[str, Answer]:
        answers = {site: workers[site].answer(task, weights, plan, fold, number) for site in asked}
        if privacy is None or task != TRAIN:
            return answers
        return {site: filter_update(answer, privacy) for site, answer in answers.items()}

    Coordinator(plan, sites, ask, FederationRecord(folder / "results" / title, plan, "")).run()
    scores: dict[str, tuple[float, int]] = {}
    for site, worker in workers.items():
        worker.close()
        names = load_card(folder / site / "bundle" / "configs" / "card.json").display_names
        read = read_predictions(worker.site.folder(plan).fold(0).predictions, "binary", names)
        scores |= _name_scores(read.select("test"), folder / site, "" if site == "pooled" else f"{site}_")
    return scores


def filter_update(answer: Answer, privacy: Any) -> Answer:
    """Return an answer as a filter of NVFlare lets it leave a site."""
    update = DXO(DataKind.WEIGHT_DIFF, data=dict(answer.weights or {}))
    return replace(answer, weights=privacy.process_dxo(update, Shareable(), FLContext()).data)


def _name_scores(predictions: Predictions, site: Path, prefix: str) -> Scores:
    """Return score and label of each image by the name that it has among the pooled ones."""
    items = read_fold_list(site / "folds.json", site / "images").parts(0)["test"]
    files = {item["id"]: Path(str(item["image"])).name for item in items}
    names = [f"{prefix}{files[str(name)]}" for name in predictions.ids or []]
    scores, labels = predictions.probabilities[:, 1], predictions.labels
    return {name: (float(score), int(label)) for name, score, label in zip(names, scores, labels, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
