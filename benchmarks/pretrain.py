"""Whether pretraining without labels pays where few images have them: ``python -m benchmarks.pretrain``.

Of PneumoniaMNIST's training images some keep their labels, and others become a folder of images without any. The same
network is cross-validated on the former from random weights and from those of each method of `medmamba-monai pretrain`
on the latter, on the same folds, and tested on the official test set; then `compare` judges. Stopped and started again,
it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.report import RESULTS, new_result, save_result
from medmamba_monai import Bundle
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.bundle.demo import find_dataset
from medmamba_monai.core.errors import UserError, ends_with_user_errors
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.evaluation import read_result
from medmamba_monai.evaluation.reports.comparison_tables import describe_comparison
from medmamba_monai.evaluation.results.comparison import Model, compare
from medmamba_monai.training.self_supervised.objectives import METHODS

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"depths": [1, 1, 1], "channels": [32, 64, 128]}
"""A MedMamba of a quarter of a million parameters."""
FROM_SCRATCH = "from scratch"
RESAMPLES = 200
"""Resamples of the reviews that nobody reads; the comparison has its own."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has not run yet, compare, and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.pretrain", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "pretrain")
    parser.add_argument("--json", type=Path, default=RESULTS / "pretrain.json")
    parser.add_argument("--labelled", type=int, default=200, help="images that keep their labels")
    parser.add_argument("--unlabelled", type=int, default=1500, help="images that a pretraining sees")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20, help="of each fold")
    parser.add_argument("--contrastive", type=int, default=10, help="epochs of that pretraining")
    parser.add_argument("--masked", type=int, default=20, help="epochs of that pretraining")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    result = measure(options)
    save_result(result, options.json)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Pretrain, cross-validate and compare; returns the result.

    Raises:
        UserError: PneumoniaMNIST is not there.
    """
    settings = {name: value for name, value in vars(options).items() if name not in ("folder", "json")}
    name, dataset_dir = find_dataset(ROOT)
    if name != "pneumoniamnist":
        raise UserError("benchmarks.pretrain is on PneumoniaMNIST; put it into MEDMAMBA_DATA_DIR")
    result = new_result("pretrain", {**settings, "dataset": name})
    folder = options.folder.resolve()
    divide(dataset_dir / "pneumoniamnist.npz", folder, options.labelled, options.unlabelled)
    generate_bundle(ROOT / "data_lists" / name / "card.json", folder / "bundle")
    bundle = Bundle(
        folder / "bundle",
        dataset_dir=folder / "labelled",
        data_list=folder / "folds.json",
        tracking_uri="",
        image_size=options.image_size,
        **NETWORK,
    )
    bundle.prepare(download=False, allow_count_mismatch=True, allow_checksum_mismatch=True)
    starts: dict[str, Path | None] = {FROM_SCRATCH: None}
    starts |= {method: _pretrain(bundle, method, folder / "unlabelled", options) for method in METHODS}
    runs: dict[str, list[Any]] = {
        title: [_train(bundle, title, start, seed, options) for seed in range(options.seeds)]
        for title, start in starts.items()
    }
    models = [Model(title, [run.folds for run in found]) for title, found in runs.items()]
    comparison = compare(models, runs[FROM_SCRATCH][0].combination)
    return {**result, "comparison": json.loads(json.dumps(describe_comparison(comparison)))}


def divide(source: Path, folder: Path, labelled: int, unlabelled: int) -> None:
    """Write a file with some of the training images and the whole test set, and other training images as a folder.

    Args:
        source: PneumoniaMNIST.
        folder: gets ``labelled/pneumoniamnist.npz`` and ``unlabelled``.
        labelled: how many images, drawn at random; a fifth stands in the file's validation part, which folds join.
        unlabelled: how many others.
    """
    with np.load(source) as file:
        arrays = {name: file[name] for name in file.files}
    order = np.random.default_rng(0).permutation(len(arrays["train_images"]))
    others = order[labelled : labelled + unlabelled]
    parts = {"train": order[: labelled - labelled // 5], "val": order[labelled - labelled // 5 : labelled]}
    kept = {
        f"{part}_{kind}": arrays[f"train_{kind}"][np.sort(rows)]
        for part, rows in parts.items()
        for kind in ("images", "labels")
    }
    kept |= {name: array for name, array in arrays.items() if name.startswith("test")}
    target = folder / "labelled" / "pneumoniamnist.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "unlabelled").mkdir(exist_ok=True)
    np.savez(target, **kept)
    for row in others:
        Image.fromarray(arrays["train_images"][row]).save(folder / "unlabelled" / f"{row:04d}.png")


def _pretrain(bundle: Bundle, method: str, images: Path, options: argparse.Namespace) -> Path:
    epochs = getattr(options, method)
    return bundle.pretrain(method=method, images_dir=images, epochs=epochs, run_name=f"pretrained-{method}")


def _train(bundle: Bundle, title: str, start: Path | None, seed: int, options: argparse.Namespace) -> Any:
    run_name = f"{title.replace(' ', '-')}-seed{seed}"
    folder = RunFolder(bundle.root / "output" / run_name)
    if not folder.review.is_file():
        bundle.cross_validate(
            run_name=run_name,
            pretrained=start,
            seed=seed,
            epochs=options.epochs,
            recipe="augmented",
            batch_size=16,
            bootstrap_resamples=RESAMPLES,
        )
    return read_result(folder)


if __name__ == "__main__":
    sys.exit(main())
