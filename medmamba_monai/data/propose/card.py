"""Proposed cards for images that nobody has described yet, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from medmamba_monai.cards.card import DatasetCard, check_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable
from medmamba_monai.data.find.companions import find_companions
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import FoundData, quote_names
from medmamba_monai.data.find.layouts import find_data
from medmamba_monai.data.propose.first_look import FirstLook, choose_patient_tag, look_at, read_modality
from medmamba_monai.data.propose.labels import Labels, make_order_key
from medmamba_monai.data.propose.layout import ProposedLayout, propose_layout
from medmamba_monai.data.propose.patches import look_at_patched
from medmamba_monai.data.propose.reading import propose_reading, try_reading
from medmamba_monai.data.propose.slides import look_at_slides
from medmamba_monai.data.samples import list_labels


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
        title: Name of the dataset for readers.
        modality: What made the images, such as X-ray.
        spatial_dims: 2 for images, 3 for volumes.
        channels: 1 for gray, 3 for color.
        image_size: Side in pixels that the network is given.
        classes: Classes in label order; of two, the second is the positive one. By default sorted by name.
        ordinal: The classes have an order.
        group_tag: DICOM tag of what stays in one fold; ``none`` for no grouping. By default ``PatientID``.
        allow_links: Links may lead out of the folder of images.
        reading: Fields of the card's ``reading`` that go before what is found.
        tiling: How slides are cut into tiles, the fields of `Tiling`; empty where the images are no slides.
        patching: How volumes are cut into patches, the fields of `Patching`; empty where they are read whole.
    """

    title: str | None = None
    modality: str | None = None
    spatial_dims: Literal[2, 3] | None = None
    channels: Literal[1, 3] | None = None
    image_size: int | None = None
    classes: Sequence[str] = ()
    ordinal: bool = False
    group_tag: Literal["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "none"] | None = None
    allow_links: bool = False
    reading: dict[str, Any] = field(default_factory=dict)
    tiling: dict[str, Any] = field(default_factory=dict)
    patching: dict[str, Any] = field(default_factory=dict)


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
    folder = DatasetFolder(images, options.allow_links)
    look = _look(folder, options)
    remarks = list(look.remarks)
    reading = propose_reading(look, options.reading, remarks)
    tag = None if labels.names_groups else choose_patient_tag(look, options.group_tag, remarks)
    proposed = propose_layout(look, labels, tag, options.classes)
    if options.tiling:
        proposed = replace(proposed, layout={"kind": "slides", "labels": proposed.layout, "tiling": options.tiling})
    if options.patching:
        proposed = replace(
            proposed, layout={"kind": "patches", "labels": proposed.layout, "patching": options.patching}
        )
    fields = _make_fields(name, look, proposed, options) | {"reading": reading}
    card = check_card(fields | {"how_to_obtain": "Correct the table, or --images."}, f"the card of {name}")
    found = find_data(card, DatasetFolder(proposed.dataset_dir, options.allow_links), fetch=False, unpack=False)
    try_reading(card, look)
    card = check_card(fields | {"expected_counts": _count_images(card, found)}, f"the card of {name}")
    order = ", ".join(f"{index}: {label}" for index, label in enumerate(card.class_names))
    remarks += [f"labels: {proposed.reason}", f"order of the classes: {order}; --classes chooses another"]
    remarks += [*proposed.remarks, *found.remarks]
    if companions := find_companions(sample.image for sample in found.samples):
        remarks.append(f"such as {companions[0][0]!r} beside {companions[0][1]!r}")
    if found.ignored:
        remarks.append(f"{len(found.ignored)} files have no label and are left out: {quote_names(found.ignored, 5)}")
    return Proposal(card, proposed.dataset_dir, found, tuple(remarks))


def _look(folder: DatasetFolder, options: Options) -> FirstLook:
    if options.tiling and options.patching:
        raise UserError("images are slides or volumes in patches: give the options of one of them")
    if options.patching:
        return look_at_patched(folder)
    return look_at_slides(folder) if options.tiling else look_at(folder, options.spatial_dims)


def _make_fields(name: str, look: FirstLook, proposed: ProposedLayout, options: Options) -> dict[str, Any]:
    classes = _order_classes(proposed.classes, options)
    size = 224 if look.spatial_dims == 2 else 64
    return {
        **_make_description(name, options, read_modality(look)),
        "spatial_dims": look.spatial_dims,
        "channels": options.channels or max(fact.channels for fact in look.facts),
        "image_size": size if options.image_size is None else options.image_size,
        "task": _choose_task(classes, proposed.several, options.ordinal),
        "classes": [{"name": label, "display_name": label} for label in classes],
        "layout": proposed.layout,
        "records": proposed.records,
        "expected_counts": {},
    }


def _order_classes(classes: Sequence[str], options: Options) -> Sequence[str]:
    """Return the classes in the order that a user gives, or as they are."""
    if not options.classes:
        if options.ordinal and not all(make_order_key(name)[0] == 0 for name in classes):
            raise UserError(f"--ordinal: say the order of {quote_names(classes)} with --classes, the lowest first")
        return classes
    if sorted(map(comparable, options.classes)) != sorted(map(comparable, classes)):
        raise UserError(
            f"--classes: names {quote_names(options.classes)}, the images have {quote_names(classes)}; name each once"
        )
    return [next(name for name in classes if comparable(name) == comparable(wanted)) for wanted in options.classes]


def _choose_task(classes: Sequence[str], several: bool, ordinal: bool) -> str:
    if several:
        return "multi-label"
    if len(classes) < 2:
        raise UserError(f"only the class {quote_names(classes)} was found; a classifier needs two or more")
    return "binary" if len(classes) == 2 else "ordinal" if ordinal else "multi-class"


def _count_images(card: DatasetCard, found: FoundData) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for sample in found.samples:
        split = counts.setdefault(sample.split or "all", {"images": 0, "classes": dict.fromkeys(card.class_names, 0)})
        split["images"] += 1
        for label in list_labels(sample.label):
            split["classes"][card.class_names[label]] += 1
    return counts


def _make_description(name: str, options: Options, modality: str) -> dict[str, Any]:
    title = options.title or name
    return {
        "$schema": "../card.schema.json",
        "name": name,
        "title": title,
        "description": f"{title}: images of our own.",
        "modality": options.modality or modality,
        "how_to_obtain": "Pass their folder with --dataset_dir; the images are not public: ask who made this bundle.",
        "license": {"name": "not public"},
        "authors": "not stated",
        "references": [],
        "known_problems": [],
    }
