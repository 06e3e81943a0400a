"""Inspection of every image before training: whether it decodes, what it is, whether it is there twice."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.parallel import map_images
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.prepare.near_duplicates import compute_fingerprint, find_near_duplicates
from medmamba_monai.data.samples import Sample, list_labels
from medmamba_monai.data.shortcuts.facts import Facts, drop_origin, gather_facts
from medmamba_monai.data.shortcuts.sample import choose_audited
from medmamba_monai.images.pixel_digest import compute_pixel_digest, describe_size, is_blank
from medmamba_monai.images.raw_image import ImageFacts

_SHOWN_ERRORS = 10
_EIGHT_BITS = 255
_LITTLE_OF_THE_RANGE = 0.3


@dataclass(frozen=True)
class Inspection:
    """What the images turned out to be.

    Attributes:
        sizes: number of images of each size, ``rows x columns``.
        kinds: number of images of each kind of file and pixels.
        stored_range: smallest and largest stored value of all images.
        nominal_range: what the stored type can hold; None where the images differ or it has no bounds.
        windows: number of images of each class by what scales them, such as ``window 40, 400``; DICOM files only.
        dicom: number of DICOM images.
        own_windows: number of those that say themselves which values are black and white.
        depths: number of different ranges that the files can hold.
        blank: number of images that have one value everywhere.
        duplicates: ids that have exactly the same pixels, a tuple for each such picture that is not blank.
        near: pairs of ids whose pictures look nearly the same; None where nobody asked.
        facts: what is not medicine of the images that are audited for shortcuts, by id.
    """

    sizes: dict[str, int]
    kinds: dict[str, int]
    stored_range: tuple[float, float]
    nominal_range: tuple[float, float] | None
    windows: dict[str, dict[str, int]]
    dicom: int
    own_windows: int
    depths: int
    blank: int
    duplicates: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, str], ...] | None = None
    facts: Mapping[str, Facts] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """One decoded image: its size, a digest of its pixels and what the file says; or what is wrong with it."""

    size: str = ""
    pixels: bytes = b""
    facts: ImageFacts | None = None
    print: torch.Tensor | None = None
    blank: bool = False
    error: str = ""
    audited: Facts | None = None


def inspect_images(
    samples: Sequence[Sample],
    folder: DatasetFolder,
    read: Callable[[str], tuple[torch.Tensor, ImageFacts]],
    look_for_near: bool = False,
) -> Inspection:
    """Decode every image once, in parallel.

    Args:
        samples: the images.
        folder: where they are.
        read: from a path to pixels and facts, raising UserError.
        look_for_near: whether to look for pictures that are nearly the same.

    Raises:
        UserError: images that cannot be read; names the first ten and says how many there are.
    """
    chosen = choose_audited(samples)

    def look(sample: Sample) -> Look:
        try:
            pixels, facts = read(str(folder.locate(sample.image)))
        except UserError as error:
            return Look(error=str(error))
        return Look(
            describe_size(pixels),
            compute_pixel_digest(pixels),
            drop_origin(facts),
            compute_fingerprint(pixels) if look_for_near else None,
            is_blank(pixels),
            audited=gather_facts(pixels, facts) if sample.id in chosen else None,
        )

    looks = map_images(look, samples, "decode")
    _raise_errors([look.error for look in looks if look.error])
    return _summarize(samples, looks, look_for_near)


def _summarize(samples: Sequence[Sample], looks: Sequence[Look], look_for_near: bool) -> Inspection:
    facts = [look.facts for look in looks if look.facts is not None]
    nominal = {fact.nominal for fact in facts}
    near = None
    if look_for_near:
        prints = torch.stack([look.print for look in looks if look.print is not None])
        pairs = find_near_duplicates(prints, skip=torch.tensor([look.blank for look in looks]))
        near = tuple((samples[a].id, samples[b].id) for a, b in pairs if looks[a].pixels != looks[b].pixels)
    return Inspection(
        sizes=dict(Counter(look.size for look in looks)),
        kinds=dict(Counter(fact.kind for fact in facts)),
        stored_range=find_stored_range(facts),
        nominal_range=next(iter(nominal)) if len(nominal) == 1 else None,
        windows=_count_windows(samples, looks),
        dicom=sum(fact.format == "DICOM" for fact in facts),
        own_windows=sum(fact.format == "DICOM" and fact.has_own_window for fact in facts),
        depths=len(nominal),
        blank=sum(look.blank for look in looks),
        duplicates=_find_duplicates(samples, looks),
        near=near,
        facts={sample.id: look.audited for sample, look in zip(samples, looks, strict=True) if look.audited},
    )


def find_stored_range(facts: Iterable[ImageFacts]) -> tuple[float, float]:
    """Return the smallest and largest stored value of all images that have a finite one; zeros where none has."""
    finite = [(fact.minimum, fact.maximum) for fact in facts if math.isfinite(fact.minimum + fact.maximum)]
    return (min(low for low, _ in finite), max(high for _, high in finite)) if finite else (0.0, 0.0)


def uses_little(low: float, high: float, nominal: tuple[float, float]) -> bool:
    """Return whether values take so little of what their type can hold that images come out dark or flat."""
    return nominal[1] > _EIGHT_BITS and high - low < _LITTLE_OF_THE_RANGE * (nominal[1] - nominal[0])


def _count_windows(samples: Sequence[Sample], looks: Iterable[Look]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample, look in zip(samples, looks, strict=True):
        if look.facts is not None and look.facts.format == "DICOM":
            label = " ".join(map(str, list_labels(sample.label))) or "no label"
            counts[label][look.facts.display] += 1
    return {label: dict(found.most_common()) for label, found in counts.items()}


def _raise_errors(errors: Sequence[str]) -> None:
    if errors:
        more = f"\nand {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        raise UserError(f"{len(errors)} images cannot be used:\n" + "\n".join(errors[:_SHOWN_ERRORS]) + more)


def _find_duplicates(samples: Sequence[Sample], looks: Iterable[Look]) -> tuple[tuple[str, ...], ...]:
    same: dict[bytes, list[str]] = defaultdict(list)
    for sample, look in zip(samples, looks, strict=True):
        if look.blank:  # of everybody, and of nobody
            continue
        same[look.pixels].append(sample.id)
    return tuple(tuple(ids) for ids in same.values() if len(ids) > 1)
