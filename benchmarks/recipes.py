"""MedMamba by the paper's recipe and by the augmented one beside ResNet-18: ``python -m benchmarks.recipes``.

Five-fold cross-validations of PneumoniaMNIST on the same folds, each network and recipe with several seeds, at a size
and budget that two cores carry; then `medmamba-monai compare` on them. Stopped and started again, it goes on where it
was; finished cross-validations are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import RESULTS
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.bundle.demo import SMALL_MEDMAMBA, find_dataset
from medmamba_monai.core.errors import ends_with_user_errors
from medmamba_monai.core.files import write_json
from medmamba_monai.cross_validation import compare_runs
from medmamba_monai.data import prepare_dataset

ROOT = Path(__file__).resolve().parents[1]
MODELS: dict[str, dict[str, Any]] = {
    "MedMamba": {**SMALL_MEDMAMBA},
    "MedMamba, augmented": {**SMALL_MEDMAMBA, "recipe": "augmented"},
    "ResNet-18": {"network_name": "resnet18"},
}
"""What is compared, by its title: options of the cross-validation. The MedMamba is the demo's, of a million weights."""


@ends_with_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has not run yet, compare, and write the result; returns 0, or 2 for what the user can fix."""
    parser = argparse.ArgumentParser("python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "recipes")
    parser.add_argument("--json", type=Path, default=RESULTS / "recipes.json")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="folds that run at a time, on one thread each")
    options = parser.parse_args(arguments)
    _measure(options)
    return 0


def _measure(options: argparse.Namespace) -> None:
    name, dataset_dir = find_dataset(ROOT)
    bundle = options.folder.resolve() / "bundle"
    generate_bundle(ROOT / "data_lists" / name / "card.json", bundle)
    prepare_dataset(bundle / "configs" / "card.json", dataset_dir, bundle / "folds.json", download=False)
    store = f"sqlite:///{options.folder.resolve()}/mlruns.db"
    began = time.time()
    for title, changes in MODELS.items():
        for seed in range(options.seeds):
            command = _command(bundle, dataset_dir, store, options, {**changes, "seed": seed}, _run_name(title, seed))
            print(f"{title}, seed {seed}", flush=True)
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=bundle)
    groups = [",".join(_run_name(title, seed) for seed in range(options.seeds)) for title in MODELS]
    print(compare_runs(groups, store, options.folder / "comparison", titles=list(MODELS)))
    comparison = json.loads((options.folder / "comparison" / "comparison.json").read_text(encoding="utf-8"))
    settings = {key: getattr(options, key) for key in ("image_size", "epochs", "seeds", "jobs")}
    result = {
        "machine": describe_machine(),
        "options": {**settings, "dataset": name},
        "seconds": time.time() - began,
        "comparison": comparison,
        "interrupted": False,
    }
    write_json(options.json, result)
    print(f"written: {options.json}")


def _run_name(title: str, seed: int) -> str:
    return f"{title.lower().replace(', ', '-')}-seed{seed}"


def _command(
    bundle: Path, dataset_dir: Path, store: str, options: argparse.Namespace, changes: dict[str, Any], run_name: str
) -> list[str]:
    arguments = {
        "config_file": "configs/cross_validation.json",
        "dataset_dir": str(dataset_dir),
        "data_list": str(bundle / "folds.json"),
        "tracking_uri": store,
        "run_name": run_name,
        "image_size": options.image_size,
        "epochs": options.epochs,
        "jobs": options.jobs,
        **changes,
    }
    texts = [text for key, value in arguments.items() for text in (f"--{key}", str(value))]
    return [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "cross_validation", *texts]


if __name__ == "__main__":
    sys.exit(main())
