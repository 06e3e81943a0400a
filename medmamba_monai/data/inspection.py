"""A look at every image before training: does it decode, how large is it, is it there twice."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from medmamba_monai.data.folds import Sample
from medmamba_monai.errors import UserError

_SHOWN_ERRORS = 10


@dataclass(frozen=True)
class Inspection:
    """What the images turned out to be.

    Attributes:
        sizes: number of images of each size, ``rows x columns``.
        duplicates: ids that have exactly the same pixels, a tuple for each such picture.
    """

    sizes: dict[str, int]
    duplicates: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Look:
    """One decoded image: its size and a digest of its pixels, or what is wrong with it."""

    size: str = ""
    pixels: bytes = b""
    error: str = ""


def inspect_images(samples: Sequence[Sample], dataset_dir: Path, read: Callable[[str], torch.Tensor]) -> Inspection:
    """Decode every image once.

    Args:
        samples: the images.
        dataset_dir: folder that they are relative to.
        read: from a path to pixels, raising UserError.

    Raises:
        UserError: images that cannot be read; names the first ten and says how many there are.
    """

    def look(sample: Sample) -> Look:
        try:
            pixels = read(str(dataset_dir / sample.image))
        except UserError as error:
            return Look(error=str(error))
        size = " x ".join(str(length) for length in pixels.shape[1:])
        return Look(size, hashlib.blake2b(size.encode() + pixels.numpy().tobytes(), digest_size=16).digest())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(look, samples)
        looks = list(tqdm(found, "decode", len(samples), leave=False, unit="image", disable=None))
    _raise_errors([look.error for look in looks if look.error])
    return Inspection(dict(Counter(look.size for look in looks)), _duplicates(samples, looks))


def _raise_errors(errors: Sequence[str]) -> None:
    if errors:
        more = f"\nand {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        raise UserError(f"{len(errors)} images cannot be used:\n" + "\n".join(errors[:_SHOWN_ERRORS]) + more)


def _duplicates(samples: Sequence[Sample], looks: Iterable[Look]) -> tuple[tuple[str, ...], ...]:
    same: dict[bytes, list[str]] = defaultdict(list)
    for sample, look in zip(samples, looks, strict=True):
        same[look.pixels].append(sample.id)
    return tuple(tuple(ids) for ids in same.values() if len(ids) > 1)
