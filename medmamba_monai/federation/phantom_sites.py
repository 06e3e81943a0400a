"""Sites with generated images: the phantom with intensities shifted by site, and classes unlike in balance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from PIL import Image

from medmamba_monai.bundle.build import generate_bundle
from medmamba_monai.core.files import write_folder_once, write_json
from medmamba_monai.data import prepare_dataset, write_phantom
from medmamba_monai.data.phantom import FAINT

CARD = Path("configs") / "card.json"


def write_phantom_sites(
    folder: str | Path,
    number: int = 2,
    num_train: int | Sequence[int] = 120,
    num_test: int = 60,
    image_size: int = 64,
    seed: int = 0,
    contrast: tuple[float, float] = FAINT,
    nodules: Sequence[int] | None = None,
) -> Path:
    """Write a folder with a file, a bundle, images and folds of each site; one that is there is left as it is.

    The first site has the phantom as it is. Each further one sees the same bodies darker, with less contrast, and has
    fewer nodules to learn from.

    Args:
        folder: to make.
        number: of sites.
        num_train: training images of a site, before some of its nodules are left out; the same of all, or by site.
        num_test: test images of a site, half of each class.
        image_size: side in pixels.
        seed: the same seed gives the same images; each site has others.
        contrast: of what tells the classes apart, see `write_phantom`.
        nodules: how many training images with a nodule each site keeps; None for all of the first, half of the second,
            a third of the third, and so on.

    Returns:
        ``folder``.

    Raises:
        UserError: the folder cannot be written.
    """
    sizes = [num_train] * number if isinstance(num_train, int) else list(num_train)
    kept = [math.ceil(size / 2 / (index + 1)) for index, size in enumerate(sizes)] if nodules is None else list(nodules)

    def write(unfinished: Path) -> None:
        for index, (size, left) in enumerate(zip(sizes, kept, strict=True)):
            site = unfinished / f"site_{index + 1}"
            write_phantom(site / "images", size, num_test, image_size, seed * number + index, contrast=contrast)
            _alter(site / "images", index, left)
            with as_file(files("medmamba_monai.data_lists") / "phantom" / "card.json") as card:
                generate_bundle(card, site / "bundle")
            prepare_dataset(site / "bundle" / CARD, site / "images", site / "folds.json", allow_count_mismatch=True)
            places = {"bundle": "bundle", "dataset_dir": "images", "data_list": "folds.json"}
            write_json(unfinished / f"{site.name}.json", {key: f"{site.name}/{name}" for key, name in places.items()})

    return write_folder_once(folder, write)


def shift_intensities(image: np.ndarray, site: int) -> np.ndarray:
    """Return an image as another site's machine would show it: darker, and with less contrast.

    Args:
        image: uint8 array of any shape.
        site: from 0, the site that shows it as it is.
    """
    relative = image / 255
    return np.round(255 * (1 - 0.15 * site) * relative ** (1 + 0.5 * site)).astype(np.uint8)


def _alter(images: Path, site: int, nodules: int) -> None:
    """Shift all images of a site, and leave out nodules of its training part, evenly, until so many are left."""
    paths = sorted((images / "train" / "nodule").glob("*.png"))
    kept = {number * len(paths) // nodules for number in range(nodules)}
    for number, path in enumerate(paths):
        if number not in kept:
            path.unlink()
    for path in sorted(images.rglob("*.png")):
        image = np.asarray(Image.open(path))
        Image.fromarray(shift_intensities(image, site)).save(path)
