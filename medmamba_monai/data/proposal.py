"""A card for images that nobody has described yet: look at them, propose what fits, and say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medmamba_monai.data.cards import DatasetCard
from medmamba_monai.data.counts import labels_of
from medmamba_monai.data.documents import text_to_path
from medmamba_monai.data.found import FoundData, listed
from medmamba_monai.data.image_files import ImageFile, Listing, list_image_files
from medmamba_monai.data.layouts import find_data
from medmamba_monai.data.proposed_layout import Labels, propose_layout
from medmamba_monai.errors import UserError
from medmamba_monai.images.dicom_tags import read_tag
from medmamba_monai.images.reading import ImageFacts, describe_image

LOOKED_AT = 200
"""How many images are opened to find out what they are; `prepare` opens all of them."""

_EIGHT_BITS = (0.0, 255.0)
_LITTLE_OF_THE_RANGE = 0.3


@dataclass(frozen=True)
class Proposal:
    """A card and how it came about.

    Attributes:
        card: the card.
        dataset_dir: the folder that its paths are relative to.
        found: the samples that it finds there.
        remarks: what was decided and why, one sentence each.
    """

    card: DatasetCard
    dataset_dir: Path
    found: FoundData
    remarks: tuple[str, ...]


@dataclass
class Options:
    """What a user may say of the images; None is found out by looking.

    Attributes:
        title: name for readers.
        modality: what made the images.
        spatial_dims: 2 for images, 3 for volumes.
        channels: 1 for gray, 3 for color.
        image_size: side in pixels that the network is given.
        ordinal: whether the classes have an order.
        reading: fields of the card's ``reading`` that go before what is found.
    """

    title: str | None = None
    modality: str | None = None
    spatial_dims: int | None = None
    channels: int | None = None
    image_size: int | None = None
    ordinal: bool = False
    reading: dict[str, Any] = field(default_factory=dict)


def propose_card(name: str, images: Path, labels: Labels, options: Options) -> Proposal:
    """Look at a folder of images and propose its card.

    Args:
        name: short name of the dataset.
        images: the folder.
        labels: where the labels are.
        options: what is known already.

    Returns:
        A card that fits the images, with what was decided.

    Raises:
        UserError: there are no images, they cannot be read, or no label can be found for them.
    """
    if not images.is_dir():
        raise UserError(f"--images {images}: there is no such folder")
    flat = list_image_files(images, images)
    if not flat.images:
        raise UserError(f"--images {images}: holds no image that can be read")
    spatial_dims = options.spatial_dims or _spatial_dims(images, flat)
    listing = list_image_files(images, images, spatial_dims)
    seen = _spread(listing.images)
    facts = [describe_image(str(images / text_to_path(image.text)), spatial_dims) for image in seen]
    remarks = [f"{len(listing.images)} {'volumes' if spatial_dims == 3 else 'images'}; {len(facts)} were opened"]
    reading = _reading(facts, options.reading, spatial_dims, remarks)
    tag = None if labels.names_groups else _patient_tag(images, seen, remarks)
    proposed = propose_layout(images, labels, tag)
    fields = {
        **_description(name, options, _modality(images, seen)),
        "spatial_dims": spatial_dims,
        "channels": options.channels or max(fact.channels for fact in facts),
        "image_size": options.image_size or (224 if spatial_dims == 2 else 64),
        "task": _task(proposed.classes, proposed.several, options.ordinal),
        "classes": [{"name": label, "display_name": label} for label in proposed.classes],
        "layout": proposed.layout,
        "reading": reading,
        "expected_counts": {},
    }
    card = DatasetCard.model_validate(fields)
    found = find_data(card, proposed.dataset_dir, fetch=False)
    card = DatasetCard.model_validate(fields | {"expected_counts": _counts(card, found)})
    remarks += [f"labels: {proposed.reason}", *found.remarks]
    return Proposal(card, proposed.dataset_dir, found, tuple(remarks))


def _spatial_dims(images: Path, listing: Listing) -> int:
    """3 where the first file is a volume, or where a folder below holds DICOM slices of one series."""
    first = images / text_to_path(listing.images[0].text)
    if first.name.lower().endswith((".nii", ".nii.gz")):
        return 3 if sum(length > 1 for length in describe_image(str(first), 3).shape) > 2 else 2
    folders = Counter(Path(text_to_path(image.text)).parent for image in listing.images)
    series = {read_tag(images / text_to_path(i.text), "SeriesInstanceUID") for i in listing.images[:2] if _is_dicom(i)}
    deep = all(len(folder.parts) > 1 and count > 1 for folder, count in folders.items())
    return 3 if deep and len(series) == 1 and len(listing.images) > 1 else 2


def _is_dicom(image: ImageFile) -> bool:
    return Path(text_to_path(image.files[0])).suffix.lower() in ("", ".dcm", ".dicom", ".ima")


def _spread(images: Sequence[ImageFile]) -> list[ImageFile]:
    step = max(1, len(images) // LOOKED_AT)
    return list(images[::step][:LOOKED_AT])


def _reading(
    facts: Sequence[ImageFacts], given: dict[str, Any], spatial_dims: int, remarks: list[str]
) -> dict[str, Any]:
    """What the card must declare so that these images can be read; each with a remark."""
    reading: dict[str, Any] = {}
    kinds = Counter(fact.kind for fact in facts)
    remarks.append("kinds: " + ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(5)))
    if any(fact.transparent for fact in facts):
        reading["background"] = 0
        remarks.append(
            "some images are transparent: they are laid on black; --background chooses another gray or color"
        )
    if spatial_dims == 2 and any(fact.frames > 1 for fact in facts):
        reading["frame"] = "all"
        remarks.append("some files have several frames: each is an image, kept in one fold with the others of its file")
    nominal, low, high = {f.nominal for f in facts}, min(f.minimum for f in facts), max(f.maximum for f in facts)
    windowed = all(fact.window is not None for fact in facts)
    if not windowed and _needs_range(nominal, low, high):
        reading |= {"intensity_range": [low, high], "clip": True}
        remarks.append(
            f"stored values are {low:g} to {high:g} in the images opened: they become 0 to 255, others are clipped; "
            "--intensity_range chooses another range, such as -160 240 for abdominal CT"
        )
    elif not windowed and "window" not in given and (full := nominal - {None, _EIGHT_BITS}):
        (least, most), *_ = sorted(pair for pair in full if pair)
        remarks.append(
            f"no window in the files: their full range, {least:g} to {most:g}, becomes 0 to 255; --window CENTER WIDTH "
            "or --intensity_range LOW HIGH shows less of it, with more contrast"
        )
    return reading | given


def _needs_range(nominal: set[tuple[float, float] | None], low: float, high: float) -> bool:
    if nominal == {_EIGHT_BITS}:
        return False
    known = nominal - {None}
    if None in nominal or len(known) > 1:
        return True
    least, most = next(iter(known)) or _EIGHT_BITS
    return high - low < _LITTLE_OF_THE_RANGE * (most - least) or most - least > 2**16


def _patient_tag(images: Path, seen: Sequence[ImageFile], remarks: list[str]) -> str | None:
    """``PatientID`` where every image opened has one; its values are not shown."""
    if not all(_is_dicom(image) for image in seen):
        remarks.append("groups: none known; name them with --group_pattern, or a table with --group_column")
        return None
    patients = [read_tag(images / text_to_path(image.files[0]), "PatientID") for image in seen]
    if not all(patients) or len(set(patients)) < 2:
        remarks.append("groups: the files do not tell patients apart; images of one patient may be in several folds")
        return None
    remarks.append("groups: images of one PatientID are kept in one fold")
    return "PatientID"


def _modality(images: Path, seen: Sequence[ImageFile]) -> str:
    found = {read_tag(images / text_to_path(image.files[0]), "Modality") for image in seen[:20] if _is_dicom(image)}
    return ", ".join(sorted(found - {""})) or "medical"


def _task(classes: Sequence[str], several: bool, ordinal: bool) -> str:
    if several:
        return "multi-label"
    if len(classes) < 2:
        raise UserError(f"only the class {listed(classes)} was found; a classifier needs two or more")
    return "binary" if len(classes) == 2 else "ordinal" if ordinal else "multi-class"


def _counts(card: DatasetCard, found: FoundData) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for sample in found.samples:
        split = counts.setdefault(sample.split or "all", {"images": 0, "classes": dict.fromkeys(card.class_names, 0)})
        split["images"] += 1
        for label in labels_of(sample.label):
            split["classes"][card.class_names[label]] += 1
    return counts


def _description(name: str, options: Options, modality: str) -> dict[str, Any]:
    title = options.title or name
    return {
        "$schema": "../card.schema.json",
        "name": name,
        "title": title,
        "description": f"{title}: images of our own.",
        "modality": options.modality or modality,
        "how_to_obtain": "Ask whoever gave you this bundle: the images are not public.",
        "license": {"name": "not public"},
        "authors": "not stated",
        "references": [],
        "known_problems": [],
    }
