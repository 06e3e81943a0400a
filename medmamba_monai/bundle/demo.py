"""The demo: data, folds and a tracked five-fold cross-validation of a small MedMamba, from one command."""

from __future__ import annotations

import os
import warnings
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from medmamba_monai.bundle.face import Bundle
from medmamba_monai.cards import load_card
from medmamba_monai.cards.parts import DataFile
from medmamba_monai.core.errors import UserError, format_error
from medmamba_monai.core.suggestions import suggest_name
from medmamba_monai.data import DownloadError, download, write_phantom
from medmamba_monai.networks import NETWORKS

SETTINGS: dict[str, Any] = {"image_size": 64, "epochs": 4}
"""Small images and few epochs, so that five folds train in minutes on two cores."""

SMALL_MEDMAMBA: dict[str, Any] = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}
"""A MedMamba of a million parameters."""


def run_demo(root: Path, network: str = "medmamba") -> None:
    """Run the demo in a folder; killed and started again, it goes on with the fold and the epoch that it had reached.

    Args:
        root: a clone, whose bundle is used, or any other folder, in which one is generated.
        network: ``medmamba`` for a small one of its own, or another of `medmamba_monai.networks.NETWORKS` on the same
            folds.

    Raises:
        UserError: the data are damaged, there is no such network, or a fold did not finish.
    """
    if network not in NETWORKS:
        raise UserError(f"--network {network}: there is no such network of images; {suggest_name(network, NETWORKS)}")
    name, dataset_dir = find_dataset(root)
    folder = root / "bundles" / name
    sizes = SMALL_MEDMAMBA if network == "medmamba" else {}
    bundle = Bundle(name, folder, dataset_dir=dataset_dir, data_list=folder / "output" / "demo" / "folds.json")
    bundle.prepare(download=False)
    listed = ", ".join(f"{key} {value}" for key, value in {**sizes, **SETTINGS}.items())
    print(f"\nDemo: {network}, {listed}.\n", flush=True)
    if sizes:
        print("The paper's MedMamba-T, at 224 pixels and 100 epochs, is the bundle's default.\n", flush=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"monai\.|torch\.")
        bundle.cross_validate(
            network_name=network,
            run_name="demo" if sizes else f"demo-{network}",
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlruns.db"),
            **SETTINGS,
            **sizes,
        )


def find_dataset(root: Path) -> tuple[str, Path]:
    """Return name and folder of PneumoniaMNIST, or of a generated dataset where that cannot be had; print which.

    Args:
        root: PneumoniaMNIST is looked for in ``MEDMAMBA_DATA_DIR`` and in ``data`` of this folder, and put there.
    """
    places = filter(None, [os.environ.get("MEDMAMBA_DATA_DIR"), str(root / "data")])
    for folder in (Path(place) / below for place in places for below in ("", "pneumoniamnist")):
        if (folder / "pneumoniamnist.npz").is_file():
            print(f"Data: PneumoniaMNIST, real chest X-rays, found in {folder}")
            return "pneumoniamnist", folder
    file = _smallest_file()
    url = str(file.url)
    try:
        print(f"Data: PneumoniaMNIST, real chest X-rays, from {url}")
        download(url, root / "data" / file.path, file.md5)
        return "pneumoniamnist", root / "data"
    except DownloadError as error:
        print(format_error(error))
        print("Data: no X-rays without a connection, so the demo runs on a GENERATED phantom dataset instead.")
        return "phantom", write_phantom(root / "data" / "phantom")


def _smallest_file() -> DataFile:
    with as_file(files("medmamba_monai.data_lists") / "pneumoniamnist" / "card.json") as card:
        return min(load_card(card).files, key=lambda file: file.image_size or 0)
