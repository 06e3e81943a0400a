"""Whether maps point at what decides, where that is known: ``python -m benchmarks.pointing``.

Generated images are healthy or have a nodule, and nothing else tells the classes apart. A small MedMamba is trained on
them with each seed, and the pointing game of `medmamba-monai explain --method all --judge` is played with the maps of
all test images that have a nodule. Which rule relevance follows was chosen on other images. Stopped and started again,
it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages.pointing import pointing_part
from benchmarks.report import RESULTS, new_result, save_result
from medmamba_monai import Bundle
from medmamba_monai.bundle.new_bundle import propose_bundle, write_bundle
from medmamba_monai.core.defaults import RESAMPLES
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import write_phantom
from medmamba_monai.data.phantom import HEALTHY
from medmamba_monai.data.propose.card import Options
from medmamba_monai.data.propose.labels import Labels
from medmamba_monai.explanations.drawing import Drawings
from medmamba_monai.explanations.explain import ALL, choose_methods
from medmamba_monai.explanations.folder import ExplanationFolder
from medmamba_monai.explanations.places import points_inside, read_places
from medmamba_monai.explanations.pointing import look_at_findings
from medmamba_monai.explanations.report import describe_verdict
from medmamba_monai.explanations.subjects import Pixels, identify, list_run_subjects
from medmamba_monai.explanations.verdicts import judge_methods
from medmamba_monai.package import read_folds_of_run, write_package

ROOT = Path(__file__).resolve().parents[1]
NAME = "nodules"
NETWORK: dict[str, Any] = {"depths": [2, 2], "channels": [16, 32]}
"""A small MedMamba, whose last map has a position for 8 x 8 pixels."""
TRAINING: dict[str, Any] = {"recipe": "augmented", "batch_size": 32, "learning_rate": 3e-3, "bootstrap_resamples": 200}
FOLD = 0


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Train and judge what is not there yet, and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.pointing", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "pointing")
    parser.add_argument("--json", type=Path, default=RESULTS / "pointing.json")
    parser.add_argument("--train", type=int, default=3000, help="images to train with, a fifth of them to validate")
    parser.add_argument("--test", type=int, default=200, help="test images, half of them with a nodule")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--contrast", type=float, nargs=2, default=[0.3, 0.6], help="of the faintest and the clearest")
    parser.add_argument("--epochs", type=int, default=4)
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
        result["networks"].append(judge(train(bundle, seed, options.epochs), seed))
        left = (time.monotonic() - started) / (seed + 1) * (options.seeds - seed - 1)
        print(f"seed {seed + 1} of {options.seeds} is judged, about {left / 60:.0f} minutes left", flush=True)
    return result


def make_bundle(folder: Path, options: argparse.Namespace) -> Bundle:
    """Generate the images and their bundle as `medmamba-monai new-bundle` does, unless they are there."""
    classes, size, (faintest, clearest) = (HEALTHY, "nodule"), options.image_size, options.contrast
    images = write_phantom(
        folder / NAME, options.train, options.test, size, class_names=classes, contrast=(faintest, clearest)
    )
    proposal = propose_bundle(NAME, images, Labels(), Options(image_size=size), folder, overwrite=True)
    root = write_bundle(proposal.card, folder)
    bundle = Bundle(root, dataset_dir=images, data_list=folder / "folds.json", tracking_uri="")
    bundle.prepare()
    return bundle


def train(bundle: Bundle, seed: int, epochs: int) -> RunFolder:
    """Train a network, or go on with it, unless that is done; returns the folder of the run."""
    folder = RunFolder(bundle.root / "output" / f"seed{seed}")
    if not folder.review.is_file():
        bundle.cross_validate(run_name=folder.path.name, seed=seed, folds=[FOLD], epochs=epochs, **TRAINING, **NETWORK)
    return folder


def judge(run: RunFolder, seed: int, methods: Sequence[str] = (ALL,)) -> dict[str, Any]:
    """Draw maps for the test images with a finding, and count which point at it.

    Maps that were drawn are kept. Deletion, insertion and shuffled weights are left to ``explain --judge``.

    Args:
        run: whose first fold is judged.
        seed: it was trained with.
        methods: see `choose_methods`; the floors are judged, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = write_package(run.path, Path(folder, "package"), folds=FOLD, look_at_images=False)
    folds = read_folds_of_run(package, run.path)
    subjects = list_run_subjects(package, folds)
    places = read_places(package, subjects, None, folds.dataset_dir)
    subjects = [subject for subject in subjects if subject.id in places]
    drawings = Drawings(subjects, Pixels(package), ExplanationFolder(run.explanations), identify(package, subjects))
    hits = {name: point(drawings, name, places) for name in choose_methods(subjects, methods, judge=True)}
    verdict = judge_methods("pointing", hits, None, RESAMPLES, seed=0)
    counts = look_at_findings(drawings, places).describe(hits)
    return {"seed": seed, **counts, "standings": describe_verdict(verdict)["methods"]}


def point(drawings: Drawings, method: str, places: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return of each image 1 where the method's map points into the finding, else 0 (N,)."""
    drawings.draw(method)
    hits = [points_inside(drawings.read_map(method, s), places[s.id]) for s in drawings.subjects]
    return np.array(hits, dtype=np.float64)


if __name__ == "__main__":
    sys.exit(main())
