"""The demo: data, folds and a tracked five-fold cross-validation of a small MedMamba, from one command.

Run it in a clone (``make demo``) or, with the package installed, in any folder (``medmamba-monai demo``). Killed and
started again, it goes on with the fold and the epoch that it had reached.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from medmamba_monai.errors import error_message, find_user_error

SETTINGS: dict[str, Any] = {
    "image_size": 64,
    "depths": [1, 1, 2, 1],
    "channels": [32, 64, 128, 256],
    "epochs": 4,
}
"""A network of a million parameters on small images, so that five folds train in minutes on two cores."""


def main() -> int:
    """Run the demo in the current folder; returns 0, or 2 for what the user can fix."""
    warnings.filterwarnings("ignore", module=r"monai\.|torch\.")
    for name in ("monai.bundle.workflows", "monai.bundle.scripts"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        _demo(Path.cwd())
    except Exception as error:
        known = find_user_error(error)
        if known is None:
            raise
        print(error_message(known), file=sys.stderr)
        return 2
    return 0


def _demo(root: Path) -> None:
    import monai.bundle

    from medmamba_monai.data import load_card, prepare

    name, dataset_dir = _find_dataset(root)
    bundle = _bundle(root, name)
    data_list = bundle / "output" / "demo" / "folds.json"
    prepare(load_card(bundle / "configs" / "card.json"), dataset_dir, data_list, download=False)
    depths, channels = SETTINGS["depths"], SETTINGS["channels"]
    print(
        f"\nDemo: a small MedMamba (depths {depths}, channels {channels}) at {SETTINGS['image_size']} pixels, "
        f"{SETTINGS['epochs']} epochs.\n"
        "The paper's MedMamba-T, at 224 pixels and 100 epochs, is the bundle's default.\n",
        flush=True,
    )
    monai.bundle.run(
        run_id="cross_validation",
        config_file=str(bundle / "configs" / "cross_validation.json"),
        bundle_root=str(bundle),
        dataset_dir=str(dataset_dir),
        data_list=str(data_list),
        run_name="demo",
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlruns.db"),
        **SETTINGS,
    )


def _find_dataset(root: Path) -> tuple[str, Path]:
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
        print(error_message(error))
        print("Data: no X-rays without a connection, so the demo runs on a GENERATED phantom dataset instead.")
        return "phantom", write_phantom(root / "data" / "phantom")


def _smallest_file() -> Any:
    from medmamba_monai.data import load_card

    with as_file(files("medmamba_monai.cards") / "pneumoniamnist" / "card.json") as card:
        return min(load_card(card).files, key=lambda file: file.image_size or 0)


def _bundle(root: Path, name: str) -> Path:
    """The bundle in the clone, or a fresh one where the package is installed without the clone."""
    bundle = root / "bundles" / name
    if not (bundle / "configs" / "train.json").is_file():
        from medmamba_monai.bundle_template import generate_bundle

        with as_file(files("medmamba_monai.cards") / name / "card.json") as card:
            generate_bundle(card, bundle)
    return bundle


if __name__ == "__main__":
    sys.exit(main())
