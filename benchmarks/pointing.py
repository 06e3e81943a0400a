"""Whether maps point at what decides, where that is known: ``python -m benchmarks.pointing``.

Generated images are healthy or have a nodule, and nothing else tells the classes apart. A small MedMamba is trained on
them with each seed, and `medmamba-monai explain --method all --judge` draws and judges the maps of all test images, as
a user would. Which rule relevance follows was chosen on validation images, never on these. Stopped and started again,
it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import RESULTS, markdown_table, measured_on, new_result, save_result
from medmamba_monai import Bundle
from medmamba_monai.bundle.new_bundle import propose_bundle, write_bundle
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import write_phantom
from medmamba_monai.data.phantom import HEALTHY
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explanations import explain
from medmamba_monai.explanations.explain import ALL
from medmamba_monai.explanations.folder import ExplanationFolder

ROOT = Path(__file__).resolve().parents[1]
NAME = "nodules"
NETWORK: dict[str, Any] = {"depths": [2, 2], "channels": [16, 32]}
"""A MedMamba of 45,000 parameters, whose last map has a position for 8 x 8 pixels."""
TRAINING: dict[str, Any] = {"recipe": "augmented", "batch_size": 32, "learning_rate": 3e-3, "bootstrap_resamples": 200}
FOLD = 0


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge what is not there yet, and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.pointing", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "pointing")
    parser.add_argument("--json", type=Path, default=RESULTS / "pointing.json")
    parser.add_argument("--train", type=int, default=4000, help="images to train with, a fifth of them to validate")
    parser.add_argument("--test", type=int, default=200, help="images to explain, half of them with a nodule")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3, help="trainings")
    options = parser.parse_args(arguments)
    result = measure(options)
    print(pointing_part(result))
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge with each seed; returns the result."""
    settings = {name: value for name, value in vars(options).items() if name not in ("folder", "json")}
    result = new_result("pointing", {**settings, **TRAINING, **NETWORK})
    bundle = make_bundle(options.folder.resolve(), options)
    started, result["networks"] = time.monotonic(), []
    for seed in range(options.seeds):
        result["networks"].append(judge(bundle, seed, options))
        left = (time.monotonic() - started) / (seed + 1) * (options.seeds - seed - 1)
        print(f"seed {seed + 1} of {options.seeds} is judged, about {left / 60:.0f} minutes left", flush=True)
    return result


def make_bundle(folder: Path, options: argparse.Namespace) -> Bundle:
    """Generate the images and their bundle as `medmamba-monai new-bundle` does, unless they are there."""
    classes = (HEALTHY, "nodule")
    images = write_phantom(folder / NAME, options.train, options.test, options.image_size, class_names=classes)
    proposal = propose_bundle(NAME, images, Labels(), Options(image_size=options.image_size), folder, overwrite=True)
    root = write_bundle(proposal.card, folder)
    bundle = Bundle(root, dataset_dir=images, data_list=folder / "folds.json", tracking_uri="")
    bundle.prepare()
    return bundle


def judge(bundle: Bundle, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a network and judge all methods by its test images, unless that is done; returns what was found."""
    folder = RunFolder(bundle.root / "output" / f"seed{seed}")
    if not folder.review.is_file():
        bundle.cross_validate(
            run_name=folder.path.name,
            seed=seed,
            folds=[FOLD],
            epochs=options.epochs,
            recipe="augmented",
            batch_size=32,
            **NETWORK,
        )
    page = explain(folder.path, [ALL], judge=True, most=options.test, fold=FOLD)
    found = json.loads(ExplanationFolder(page.parent).judgement.read_text(encoding="utf-8"))
    return {"seed": seed, **found["pointing"], "standings": found["criteria"]["pointing"]["methods"]}


def pointing_part(result: dict[str, Any]) -> str:
    """Write how many test images with a nodule each method hits, for each trained network."""
    networks = result["networks"]
    names = sorted(networks[0]["hits"], key=lambda name: -float(np.mean([one["hits"][name] for one in networks])))
    titles = ["", *(f"seed {one['seed']}" for one in networks), "mean of all", "mean of recognized"]
    rows = [["recognized", *(str(one["recognized"]) for one in networks), _mean(networks, "recognized"), ""]]
    rows += [_make_row(networks, name) for name in names]
    first = networks[0]
    told = (
        f"Of {first['images']} test images with a nodule: those that a network recognizes, and those where each "
        f"method's map points into it; with 95 % intervals over images. Nodules cover {100 * first['chance']:.1f} % of "
        f"an image on average. {measured_on(result)} Made by `python -m benchmarks.pointing`."
    )
    return f"{markdown_table(titles, rows)}\n\n{told}"


def _make_row(networks: Sequence[dict[str, Any]], name: str) -> list[str]:
    cells = [
        f"{one['hits'][name]} {_write_interval(one['standings'][name]['interval'], one['images'])}" for one in networks
    ]
    mean = float(np.mean([one["hits"][name] / one["images"] for one in networks]))
    share = float(np.mean([one["hits_of_recognized"][name] / one["recognized"] for one in networks]))
    return [EXPLANATIONS[name].title, *cells, f"{100 * mean:.1f} %", f"{100 * share:.1f} %"]


def _mean(networks: Sequence[dict[str, Any]], key: str) -> str:
    return f"{100 * float(np.mean([one[key] / one['images'] for one in networks])):.1f} %"


def _write_interval(interval: Sequence[float] | str, images: int) -> str:
    if isinstance(interval, str):
        return f"({interval})"
    low, high = (round(images * bound) for bound in interval)
    return f"({low} to {high})"


if __name__ == "__main__":
    sys.exit(main())
