"""A federation against pooled images and against each site alone: ``python -m benchmarks.federation --json FILE``.

Sites have the phantom with intensities shifted by site and nodules that are rare at some. All ways train the same
network for the same number of passes over the images, and are compared on the test images of all sites by DeLong's
test, which is paired. Sites answer in one process; what travels, and in which order, is as with NVFlare.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from benchmarks.pages.federation import list_rows
from benchmarks.report import add_common_options, new_result, save_result, text_table
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.core.files import write_json
from medmamba_monai.data import prepare_dataset, read_fold_list
from medmamba_monai.evaluation import Predictions, read_predictions
from medmamba_monai.evaluation.statistics.significance import delong, delong_interval, holm
from medmamba_monai.federation import write_phantom_sites
from medmamba_monai.federation.coordinator import Coordinator
from medmamba_monai.federation.job import make_filter
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.phantom_sites import CARD
from medmamba_monai.federation.record import FederationRecord
from medmamba_monai.federation.site import read_site
from medmamba_monai.federation.site_worker import TRAIN, Answer, SiteWorker

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"depths": [1, 1], "channels": [16, 32], "image_size": 32, "batch_size": 16, "amp": False}
FEDERATED = "federated (FedAvg)"
CONTRAST = (0.6, 0.9)
"""Of what tells the classes apart: clear enough to be learnt from some hundred images."""
WAYS: dict[str, dict[str, Any]] = {
    FEDERATED: {},
    "FedProx, mu 0.1": {"proximal": 0.1},
    "FedBN": {"local_batch_norm": True},
    "FedAvg, percentile filter": {"privacy": "percentile"},
    "FedAvg, sparse vector filter": {"privacy": "svt"},
}
"""Options of each federation."""
POOLED, ALONE = "pooled images", "each site alone"
CLASSES = ["Normal (line)", "Nodule (blob)"]


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Train each way, compare, print and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.federation", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "federation_benchmark", help="made anew")
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument(
        "--images", type=int, default=400, help="training images of a site, before nodules are left out"
    )
    parser.add_argument("--rounds", type=int, default=20)
    add_common_options(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.images, options.rounds = 20, 1
    torch.set_num_threads(1)
    result = measure(options)
    print(text_table(*list_rows(result)))
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train each way and compare it with the federation; returns the result."""
    result = new_result("federation", {name: getattr(options, name) for name in ("sites", "images", "rounds", "quick")})
    shutil.rmtree(options.folder, ignore_errors=True)
    images, size = options.images, NETWORK["image_size"]
    folder = write_phantom_sites(options.folder.resolve(), options.sites, images, images // 2, size, contrast=CONTRAST)
    sites = [f"site_{number + 1}" for number in range(options.sites)]
    pool_images(folder, sites)
    found = {title: _train(folder, sites, title, options.rounds, given) for title, given in WAYS.items()}
    found[POOLED] = _train(folder, ["pooled"], POOLED, options.rounds, {})
    alone = [_train(folder, [site], f"{ALONE}: {site}", options.rounds, {}) for site in sites]
    found[ALONE] = {name: score for scores in alone for name, score in scores.items()}
    return {**result, "ways": compare_ways(found)}


def pool_images(folder: Path, sites: Sequence[str]) -> None:
    """Make a site of the images of all sites, named after them."""
    pooled = folder / "pooled"
    for site in sites:
        for path in (folder / site / "images").rglob("*.png"):
            target = pooled / "images" / path.relative_to(folder / site / "images").with_name(f"{site}_{path.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    generate_bundle(ROOT / "data_lists" / "phantom" / "card.json", pooled / "bundle")
    prepare_dataset(pooled / "bundle" / CARD, pooled / "images", pooled / "folds.json", allow_count_mismatch=True)
    places = {"bundle": "bundle", "dataset_dir": "images", "data_list": "folds.json"}
    write_json(folder / "pooled.json", {key: f"pooled/{name}" for key, name in places.items()})


def _train(
    folder: Path, sites: Sequence[str], title: str, rounds: int, options: Mapping[str, Any]
) -> dict[str, tuple[float, int]]:
    """Train fold 0 of some sites together; return score and label of each test image."""
    plan = Plan.of(
        {**NETWORK, "rounds": rounds, "folds": [0], "run_name": title, "learning_rate": 0.002, **options}, title
    )
    workers = {site: SiteWorker(read_site(folder, site)) for site in sites}

    privacy = make_filter(plan.options.privacy)

    def ask(task: str, weights: Any, fold: int, number: int, asked: Sequence[str] | None) -> dict[str, Answer]:
        answers = {site: workers[site].answer(task, weights, plan, fold) for site in asked or sites}
        if privacy is None or task != TRAIN:
            return answers
        return {site: filter_update(answer, privacy) for site, answer in answers.items()}

    Coordinator(plan, sites, ask, FederationRecord(folder / "results" / title, plan, "")).run()
    scores: dict[str, tuple[float, int]] = {}
    for site, worker in workers.items():
        worker.close()
        read = read_predictions(worker.site.folder(plan).fold(0).predictions, "binary", CLASSES)
        scores |= _name_scores(read.select("test"), folder / site, "" if site == "pooled" else f"{site}_")
    return scores


def filter_update(answer: Answer, privacy: Any) -> Answer:
    """Return an answer as a filter of NVFlare lets it leave a site."""
    update = DXO(DataKind.WEIGHT_DIFF, data=dict(answer.weights or {}))
    return replace(answer, weights=privacy.process_dxo(update, Shareable(), FLContext()).data)


def _name_scores(predictions: Predictions, site: Path, prefix: str) -> dict[str, tuple[float, int]]:
    """Return score and label of each image by the name that it has among the pooled ones."""
    items = read_fold_list(site / "folds.json", site / "images").parts(0)["test"]
    files = {item["id"]: Path(str(item["image"])).name for item in items}
    names = [f"{prefix}{files[str(name)]}" for name in predictions.ids or []]
    scores, labels = predictions.probabilities[:, 1], predictions.labels
    return {name: (float(score), int(label)) for name, score, label in zip(names, scores, labels, strict=True)}


def compare_ways(found: Mapping[str, Mapping[str, tuple[float, int]]]) -> dict[str, Any]:
    """Return the AUC of each way on all sites' test images, with interval, and its difference from the federation."""
    names = sorted(found[FEDERATED])
    labels = [found[FEDERATED][name][1] for name in names]
    scores = {title: np.array([of_way[name][0] for name in names]) for title, of_way in found.items()}
    compared = {
        title: delong(of_way, scores[FEDERATED], labels) for title, of_way in scores.items() if title != FEDERATED
    }
    adjusted = dict(zip(compared, holm([pair.p_value or 0.0 for pair in compared.values()]), strict=True))
    ways: dict[str, Any] = {}
    for title, of_way in scores.items():
        area = delong_interval(of_way, labels)
        limits = None if isinstance(area.interval, str) else [area.interval.low, area.interval.high]
        ways[title] = {"auc": area.auc, "interval": limits, "images": len(names)}
        if title in compared:
            ways[title] |= {"difference": compared[title].difference, "p_holm": adjusted[title]}
    return ways


if __name__ == "__main__":
    sys.exit(main())
