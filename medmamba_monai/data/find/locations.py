"""Default places of data and fold lists, and the images of a folder as items of a MONAI dataset."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from medmamba_monai.core.documents import text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.core.parallel import map_images
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import describe_others

logger = logging.getLogger("medmamba_monai.data")


def default_fold_list(bundle_root: str | Path, name: str) -> str:
    """Return the path of a dataset's fold list where none is given.

    Args:
        bundle_root: folder of the bundle.
        name: the dataset's short name.

    Returns:
        ``data_lists/<name>/folds.json`` of the repository that the bundle is in, or ``folds.json`` in the bundle where
        it was copied elsewhere.
    """
    root = Path(bundle_root).resolve()
    folder = root.parent.parent / "data_lists" / name
    return str((folder if (folder / "card.json").is_file() else root) / "folds.json")


def default_dataset_dir(bundle_root: str | Path, name: str) -> str:
    """Return the folder of a dataset where none is given.

    Args:
        bundle_root: folder of the bundle.
        name: the dataset's short name.

    Returns:
        The folder ``name`` below ``$MEDMAMBA_DATA_DIR`` (``data`` in the bundle where that is unset), or the parent of
        it where there is no such folder.
    """
    root = Path(os.environ.get("MEDMAMBA_DATA_DIR") or Path(bundle_root) / "data")
    return str(root / name if (root / name).is_dir() else root)


def list_images(
    folder: str | Path,
    spatial_dims: int = 2,
    every_frame: bool = False,
    allow_links: bool = False,
    read: Callable[[str], object] | None = None,
    option: str = "dataset_dir",
    slides: bool = False,
) -> list[dict[str, str]]:
    """Return the images in and below a folder, as items of a MONAI dataset.

    Args:
        folder: where they are.
        spatial_dims: 3: a folder of DICOM slices is one volume.
        every_frame: whether each frame of a file with several is an image.
        allow_links: whether links may lead out of the folder.
        read: from a path to pixels, raising UserError; where it is given, images that it cannot read are left out, each
            with a warning. None lists all.
        option: name of the option that the folder was given as, for messages.
        slides: whether the images are slides.

    Returns:
        For each image its ``id``, a number that tells nothing about the patient; its absolute path as ``image``; and
        as ``file`` its path below ``folder``. Sorted by ``file``.

    Raises:
        UserError: there is no such folder, or no readable image in it.
    """
    dataset = DatasetFolder(Path(folder), allow_links)
    if not dataset.exists():
        is_file = Path(folder).is_file()
        raise UserError(
            f"--{option} {folder}: {'is a file; give a folder of images' if is_file else 'there is no such folder'}"
        )
    listing = dataset.list_images(None, spatial_dims, every_frame, slides=slides)
    if not listing.images:
        raise UserError(f"--{option} {folder}: holds no image; {describe_others(dataset.root, listing.others)}")
    if listing.others:
        logger.warning(
            f"{len(listing.others)} files in {format_path(dataset.root)} are no readable images and are left out"
        )
    items = [
        {"id": f"image-{number:05d}", "image": str(dataset.locate(text).absolute()), "file": text_to_path(text)}
        for number, text in enumerate(image.text for image in listing.images)
    ]
    return items if read is None else _select_readable(items, read)


def _select_readable(items: list[dict[str, str]], read: Callable[[str], object]) -> list[dict[str, str]]:
    """Return those items whose images can be read; what is wrong with the others goes into the log."""

    def problem(item: dict[str, str]) -> str:
        try:
            read(item["image"])
        except UserError as error:
            return str(error)
        return ""

    problems = map_images(problem, items, "check")
    for text in filter(None, problems):
        logger.warning(f"left out: {text}")
    kept = [item for item, text in zip(items, problems, strict=True) if not text]
    if not kept:
        raise UserError(f"none of {len(items)} images can be read; the first: {problems[0]}")
    return kept
