"""The demo: data, folds and a tracked five-fold cross-validation of a small MedMamba, from one command.

Run it in a clone (``make demo``) or, with the package installed, in any folder (``medmamba-monai demo``). Killed and
started again, it goes on with the fold and the epoch that it had reached.
"""

from __future__ import annotations

import logging
import os
import warnings
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from medmamba_monai.core.errors import format_error

SETTINGS: dict[str, Any] = {"image_size": 64, "epochs": 4}
"""Small images and few epochs, so that five folds train in minutes on two cores."""

SMALL_MEDMAMBA: dict[str, Any] = {"depths": [1, 1, 2, 1], "channels": [32, 64, 128, 256]}
"""A MedMamba of a million parameters."""


def demo(
    network: Annotated[str, typer.Option(help="Another network on the same folds, such as resnet18.")] = "medmamba",
) -> None:
    """Cross-validate a small MedMamba on chest X-rays.

    Data, five folds, their review and MLflow runs are made in the current folder. Killed and started again, it goes on
    where it was.
    """
    warnings.filterwarnings("ignore", module=r"monai\.|torch\.")
    for name in ("monai.bundle.workflows", "monai.bundle.scripts"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _demo(Path.cwd(), network)


def _demo(root: Path, network: str) -> None:
    import monai.bundle

    from medmamba_monai.cards import load_card
    from medmamba_monai.data import prepare_dataset

    name, dataset_dir = find_dataset(root)
    bundle = _bundle(root, name)
    data_list = bundle / "output" / "demo" / "folds.json"
    prepare_dataset(load_card(bundle / "configs" / "card.json"), dataset_dir, data_list, download=False)
    sizes = SMALL_MEDMAMBA if network == "medmamba" else {}
    listed = ", ".join(f"{key} {value}" for key, value in {**sizes, **SETTINGS}.items())
    print(f"\nDemo: {network}, {listed}.\n", flush=True)
    if sizes:
        print("The paper's MedMamba-T, at 224 pixels and 100 epochs, is the bundle's default.\n", flush=True)
    monai.bundle.run(
        run_id="cross_validation",
        config_file=str(bundle / "configs" / "cross_validation.json"),
        bundle_root=str(bundle),
        dataset_dir=str(dataset_dir),
        data_list=str(data_list),
        network_name=network,
        run_name="demo" if sizes else f"demo-{network}",
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlruns.db"),
        **SETTINGS,
        **sizes,
    )


def find_dataset(root: Path) -> tuple[str, Path]:
    """PneumoniaMNIST from ``MEDMAMBA_DATA_DIR`` or from the internet, else a generated dataset; says which."""
    from medmamba_monai.data import DownloadError, download, write_phantom

    places = filter(None, [os.environ.get("MEDMAMBA_DATA_DIR"), str(root / "data")])
    for folder in (Path(place) / below for place in places for below in ("", "pneumoniamnist")):
        if (folder / "pneumoniamnist.npz").is_file():
            print(f"Data: PneumoniaMNIST, real chest X-rays, found in {folder}")
            return "pneumoniamnist", folder
    file = _smallest_file()
    try:
        print(f"Data: PneumoniaMNIST, real chest X-rays, from {file.url}")
        download(file.url, root / "data" / file.path, file.md5)
        return "pneumoniamnist", root / "data"
    except DownloadError as error:
        print(format_error(error))
        print("Data: no X-rays without a connection, so the demo runs on a GENERATED phantom dataset instead.")
        return "phantom", write_phantom(root / "data" / "phantom")


def _smallest_file() -> Any:
    from medmamba_monai.cards import load_card

    with as_file(files("medmamba_monai.data_lists") / "pneumoniamnist" / "card.json") as card:
        return min(load_card(card).files, key=lambda file: file.image_size or 0)


def _bundle(root: Path, name: str) -> Path:
    """The bundle in the clone, or a fresh one where the package is installed without the clone."""
    bundle = root / "bundles" / name
    if not (bundle / "configs" / "train.json").is_file():
        from medmamba_monai.bundle import generate_bundle

        with as_file(files("medmamba_monai.data_lists") / name / "card.json") as card:
            generate_bundle(card, bundle)
    return bundle
