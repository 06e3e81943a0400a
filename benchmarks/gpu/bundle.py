"""A bundle from end to end: one fold by ``monai.bundle run training``, and five by ``cross_validation``.

The images are PneumoniaMNIST's where a folder has them (224 pixels, else its 28 pixels enlarged), else generated ones
in the same numbers. Every command runs in a process of its own, as a user starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu.budget import Budget
from medmamba_monai.bundle import generate_bundle
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.data import prepare_dataset

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "data_lists" / "pneumoniamnist" / "card.json"
FILES = ("pneumoniamnist_224.npz", "pneumoniamnist.npz")
SPLITS = {"train": (1214, 3494), "val": (135, 389), "test": (234, 390)}
"""Images of each class of PneumoniaMNIST."""
CACHES = ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH", "MEDMAMBA_CACHE_DIR")
"""Variables that name the folders which a first start fills."""
LAST_CHARACTERS = 2000

Execute = Callable[[list[str], Path, Mapping[str, str], float | None], None]


class Prepared(NamedTuple):
    """A bundle and its data.

    Attributes:
        root: the bundle.
        dataset_dir: the images.
        data_list: the folds.
        images: which they are, for people.
    """

    root: Path
    dataset_dir: Path
    data_list: Path
    images: str


def prepare_bundle(folder: Path, data: Path | None, splits: Mapping[str, tuple[int, int]] = SPLITS) -> Prepared:
    """Generate the bundle of PneumoniaMNIST and its folds.

    Args:
        folder: takes the bundle, and the images where they are generated.
        data: a folder that may hold PneumoniaMNIST.
        splits: how many images of each class are generated.
    """
    name = next((name for name in FILES if data is not None and (data / name).is_file()), None)
    if data is not None and name is not None:
        dataset_dir, images = data, f"PneumoniaMNIST, {name}"
    else:
        dataset_dir, images = write_images(folder / "images", splits), "generated, 224 pixels"
    root = folder / "bundle"
    generate_bundle(CARD, root)
    card, mismatch = root / "configs" / "card.json", name is None
    prepare_dataset(
        card,
        dataset_dir,
        folder / "folds.json",
        download=False,
        allow_count_mismatch=mismatch,
        allow_checksum_mismatch=mismatch,
    )
    return Prepared(root, dataset_dir, folder / "folds.json", images)


def write_images(folder: Path, splits: Mapping[str, tuple[int, int]], size: int = 224) -> Path:
    """Write an npz file like PneumoniaMNIST's: noise, brighter where there is pneumonia. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, counts in splits.items():
        labels = random.permutation(np.repeat(np.arange(2, dtype=np.uint8), counts))
        noise = random.integers(0, 200, (len(labels), size, size), dtype=np.uint8)
        arrays |= {f"{split}_images": noise + 4 * labels[:, None, None], f"{split}_labels": labels[:, None]}
    np.savez(folder / FILES[0], **arrays)
    return folder


def measure_bundle(
    prepared: Prepared,
    folder: Path,
    execute: Execute,
    budget: Budget,
    epochs: int = 4,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train fold 0 twice: with empty caches for one epoch, then with what the first left there.

    Args:
        prepared: the bundle.
        folder: takes what the trainings write.
        execute: runs a command in a folder, with variables of its environment and at most so many seconds.
        budget: the time that is left.
        epochs: of the second training; all but the first count.
        changes: other options of the bundle.
    """
    caches = {name: str(folder / "caches" / name.lower()) for name in CACHES}
    found: dict[str, Any] = {"images_are": prepared.images}
    for process, number in (("cold", 1), ("warm", epochs)):
        clock = folder / f"{process}.json"
        config = folder / f"{process}_clock.json"
        handler = {"_target_": "benchmarks.gpu.clock.StepClock", "path": str(clock)}
        write_json(config, {"train::more_handlers": [handler]})
        files = [str(prepared.root / "configs" / "train.json"), str(config)]
        options = {"config_file": files, "epochs": number, **options_of(prepared, folder, process), **(changes or {})}
        began = time.time()
        execute(command_of("training", options), folder, environment_of(caches), budget.left())
        noted = json.loads(clock.read_text(encoding="utf-8"))
        found[f"{process}_seconds_to_first_step"] = noted["first_step_at"] - began
        found[f"{process}_seconds"] = time.time() - began
        print(f"{process}: first step after {noted['first_step_at'] - began:.1f} s", flush=True)
    found |= {key: noted[key] for key in ("precision", "images", "step_images_per_second")}
    found |= {"epochs": epochs, "images_per_second": noted["images"] / noted["seconds"]}
    print(f"{found['images_per_second']:,.0f} images a second from epoch to epoch in {found['precision']}", flush=True)
    return found


def measure_cross_validation(
    prepared: Prepared,
    folder: Path,
    execute: Execute,
    budget: Budget,
    epochs: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Cross-validate by the paper's recipe, or by its first epochs only."""
    options: dict[str, Any] = {"config_file": str(prepared.root / "configs" / "cross_validation.json")}
    options |= options_of(prepared, folder, "cross_validation") | dict(changes or {})
    if epochs is not None:
        options["epochs"] = epochs
    began = time.time()
    execute(command_of("cross_validation", options), folder, environment_of({}), budget.left())
    seconds = time.time() - began
    print(f"five folds took {seconds:.0f} s", flush=True)
    return {
        "seconds": seconds,
        "epochs": epochs or "of the recipe",
        "whole_recipe": epochs is None and not changes and prepared.images.startswith("PneumoniaMNIST"),
        "images_are": prepared.images,
    }


def options_of(prepared: Prepared, folder: Path, name: str) -> dict[str, Any]:
    """Return the options that every command is given."""
    return {
        "bundle_root": str(prepared.root),
        "dataset_dir": str(prepared.dataset_dir),
        "data_list": str(prepared.data_list),
        "tracking_uri": f"sqlite:///{folder}/{name}.db",
        "run_name": name,
    }


def command_of(run_id: str, options: Mapping[str, Any]) -> list[str]:
    """Return the command line of ``python -m monai.bundle run``."""
    arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    return [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", run_id, *arguments]


def environment_of(caches: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a command gets beside those of this process: where to import from, and its caches."""
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *([before] if before else [])]), **caches}


def run_command(command: list[str], folder: Path, variables: Mapping[str, str], seconds: float | None) -> None:
    """Run a command to its end, what it prints kept in ``output.txt`` of the folder.

    Raises:
        UserError: it failed or took longer than it may; its last lines are told.
    """
    output = folder / "output.txt"
    with output.open("a", encoding="utf-8") as stream:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **variables},
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{command[5]} was stopped: the time was up after {seconds:.0f} s") from error
    if done.returncode != 0:
        raise UserError(f"{command[5]} failed: {output.read_text(encoding='utf-8')[-LAST_CHARACTERS:]}")
