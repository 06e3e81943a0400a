"""A first look at a folder of images: images or volumes, of what kind, of which patients."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import is_nobody
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import ImageFile, Listing, describe_others
from medmamba_monai.images.dicom.recognize import looks_like_dicom
from medmamba_monai.images.dicom.tags import read_tag
from medmamba_monai.images.formats import VOLUME_FORMATS, find_format
from medmamba_monai.images.raw_image import FileFormat, ImageFacts
from medmamba_monai.images.read import describe_image

OPENED = 200
"""How many images are opened; `prepare` opens all of them."""

_CODE = re.compile("[A-Z]{2,16}")


@dataclass(frozen=True)
class FirstLook:
    """What was seen.

    Attributes:
        folder: the folder of images.
        spatial_dims: 2 for images, 3 for volumes.
        listing: all of them.
        opened: those that were opened, from the whole list.
        facts: what they turned out to be.
        remarks: what a user should know of it.
    """

    folder: DatasetFolder
    spatial_dims: int
    listing: Listing
    opened: tuple[ImageFile, ...]
    facts: tuple[ImageFacts, ...]
    remarks: tuple[str, ...]

    def path(self, image: ImageFile) -> Path:
        """Return where an image is: a file, or a folder of slices."""
        return self.folder.locate(image.source)

    def first_file(self, image: ImageFile) -> Path:
        """Return the file of an image, or the first of its slices."""
        return self.folder.locate(image.files[0])


def look_at(folder: DatasetFolder, spatial_dims: int | None = None) -> FirstLook:
    """Open some of the images in a folder.

    Args:
        folder: where they are, at any depth.
        spatial_dims: 2 or 3 where that is known; by default 3 where most files are volumes or most folders are series.

    Raises:
        UserError: there are no images, some cannot be opened, or pictures and scans are mixed.
    """
    if not folder.exists():
        raise UserError(f"--images {folder}: there is no such folder")
    flat = folder.list_images()
    if not flat.images:
        said = describe_others(folder.root, flat.others)
        raise UserError(f"--images {folder}: holds no image that can be read; {said}")
    dims, why = (spatial_dims, "as said") if spatial_dims else _find_spatial_dims(folder, flat)
    listing = flat if dims == 2 else folder.list_images(None, dims)
    opened = spread(listing.images)
    look = FirstLook(folder, dims, listing, opened, (), ())
    if dims == 3:
        _refuse_single_slices(look)
    facts = tuple(describe_image(str(look.path(image)), dims) for image in opened)
    _refuse_mixtures(look, facts)
    noun = "volumes" if dims == 3 else "images"
    remarks = (f"{len(listing.images)} {noun} ({dims}D: {why}); {len(facts)} were opened",)
    return replace(look, facts=facts, remarks=remarks)


def open_some(
    folder: DatasetFolder, spatial_dims: int, listing: Listing, describe: Callable[[Path], ImageFacts], what: str
) -> FirstLook:
    """Open some of the images of a listing, none of which is read as a whole.

    Args:
        folder: where they are.
        spatial_dims: 2 or 3.
        listing: all of them.
        describe: opens one.
        what: they are, for people.

    Raises:
        UserError: one cannot be opened.
    """
    opened = spread(listing.images)
    facts = tuple(describe(folder.locate(image.source)) for image in opened)
    remarks = (f"{len(listing.images)} {what}; {len(facts)} were opened",)
    return FirstLook(folder, spatial_dims, listing, opened, facts, remarks)


def _find_spatial_dims(folder: DatasetFolder, flat: Listing) -> tuple[int, str]:
    """Return 3 where the first file is a volume, or where most folders hold the slices of one series."""
    first = folder.locate(flat.images[0].files[0])
    if (kind := find_format(first)) in VOLUME_FORMATS:
        deep = _is_deep(first)
        return (3, f"{kind} volumes") if deep else (2, f"{kind} files of one slice")
    folders: dict[Path, list[Path]] = defaultdict(list)
    for image in flat.images:
        path = folder.locate(image.files[0])
        folders[path.parent].append(path)
    series = sum(_is_series(paths) for paths in folders.values())
    if 2 * series <= len(folders):
        return 2, "each file is an image"
    return 3, f"{series} of {len(folders)} folders hold the slices of one DICOM series; --spatial-dims 2 takes slices"


def _is_deep(path: Path) -> bool:
    """Return whether a file of a format for volumes holds one; flat files of such formats cannot be read as any."""
    try:
        return sum(length > 1 for length in describe_image(str(path), 3).shape) > 2
    except UserError:
        describe_image(str(path), 2)  # raises what is wrong with a file that is no image at all
        return False


def _is_series(paths: Sequence[Path]) -> bool:
    ends = (paths[0], paths[-1])
    if len(paths) < 2 or not all(looks_like_dicom(path) for path in ends):
        return False
    series = {read_tag(path, "SeriesInstanceUID") for path in ends}
    places = {read_tag(path, "ImagePositionPatient") for path in ends}
    return len(series) == 1 and len(places) == 2 and "" not in series | places


def _refuse_single_slices(look: FirstLook) -> None:
    single = [image for image in look.listing.images if len(image.files) == 1 and looks_like_dicom(look.path(image))]
    if single and len(single) < len(look.listing.images):
        raise UserError(
            f"{look.path(single[0])}: is the only slice in its folder, as are {len(single) - 1} others, among volumes "
            "(localizers?); move them away, or pass --spatial-dims 2 to take every slice as an image"
        )


def spread(images: Sequence[ImageFile]) -> tuple[ImageFile, ...]:
    """Return the images from the whole list, which is sorted by class."""
    chosen = np.linspace(0, len(images) - 1, min(len(images), OPENED)).astype(int)
    return tuple(images[index] for index in chosen)


def _refuse_mixtures(look: FirstLook, facts: Sequence[ImageFacts]) -> None:
    """Refuse pictures, DICOM and NIfTI together: their values have different units, which no one range fits."""
    first: dict[FileFormat, Path] = {}
    for image, fact in zip(look.opened, facts, strict=True):
        first.setdefault(fact.format, look.path(image))
    if len(first) > 1:
        listed = " and ".join(f"{kind} ({path})" for kind, path in first.items())
        raise UserError(f"--images {look.folder}: holds {listed}, whose values have different units; keep one kind")


def read_modality(look: FirstLook) -> str:
    """Return the DICOM codes of the modality, such as CT; nothing else that a file may say there."""
    files = [look.first_file(image) for image in look.opened[:20]]
    found = {read_tag(file, "Modality") for file in files if looks_like_dicom(file)}
    return ", ".join(sorted(code for code in found if _CODE.fullmatch(code))) or "medical"


def choose_patient_tag(look: FirstLook, wanted: str | None, remarks: list[str]) -> str | None:
    """Return the tag that tells patients apart; its values are not shown.

    Args:
        look: what was seen.
        wanted: the tag that a user names; ``none`` for no grouping, None for ``PatientID`` where there is one.
        remarks: gets a sentence on what was found.

    Raises:
        UserError: some files have the tag and others not.
    """
    if wanted == "none":
        remarks.append("groups: none, as said; images of one patient may be in several folds")
        return None
    files = [look.first_file(image) for image in look.listing.images]
    if wanted is None and not all(looks_like_dicom(look.first_file(image)) for image in look.opened):
        remarks.append("groups: none known; name them with --group-pattern, or a table with --group-column")
        return None
    tag = wanted or "PatientID"
    values = [read_tag(file, tag) for file in tqdm(files, tag, leave=False, unit="file", disable=None)]
    without = [file for file, value in zip(files, values, strict=True) if is_nobody(value)]
    if without and len(without) < len(files):
        raise UserError(
            f"{without[0]}: has no {tag}, as have {len(without) - 1} others of {len(files)}; fill it in, name groups "
            "in another way, or pass --group-tag none to leave patients ungrouped"
        )
    if without or len(set(values)) < 2:
        remarks.append("groups: the files do not tell patients apart; images of one patient may be in several folds")
        return None
    remarks.append(f"groups: images of one {tag} are kept in one fold ({len(set(values))} of them)")
    return tag
