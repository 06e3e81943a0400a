"""The images that are explained: test images of a run, each with the networks that have not seen it, or a folder's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medmamba_monai.core.versions import read_versions
from medmamba_monai.data import FoldList, list_images
from medmamba_monai.explanations.members import Members
from medmamba_monai.package import Package, list_test_parts


@dataclass(frozen=True, eq=False)
class Subject:
    """An image.

    Attributes:
        id: that tells nothing of the patient.
        source: path of the file, or what stands for the image in it.
        file: the same, relative to the folder of the images.
        members: the networks that judge it.
        label: of the true class; None where it is not known, or is one of several labels.
        group: such as the patient; None where that is not known.
    """

    id: str
    source: str
    file: str
    members: Members
    label: int | None = None
    group: str | None = None


def list_run_subjects(package: Package, folds: FoldList, most: int | None = None) -> list[Subject]:
    """List test images of a run, each with the networks of the folds that have it in their test part.

    Args:
        package: of the run.
        folds: of the run.
        most: images at most, drawn with a fixed seed; None for all.
    """
    return [
        Subject(
            item["id"],
            item["image"],
            _shorten(item["image"], folds.dataset_dir),
            members,
            int(item["label"]) if package.manifest.task != "multi-label" else None,
            item.get("group"),
        )
        for part, items in list_test_parts(package, folds, most)
        for members in [make_members(package, part)]
        for item in items
    ]


def list_folder_subjects(package: Package, folder: Path, most: int) -> list[Subject]:
    """List images of a folder, which all networks of a package judge.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    items = list_images(folder, package.card.spatial_dims, package.card.every_frame, option="images")
    chosen = sorted(np.random.default_rng(0).permutation(len(items))[:most])
    members = make_members(package, list(package.networks))
    return [Subject(items[at]["id"], items[at]["image"], items[at]["file"], members) for at in chosen]


def identify(package: Package, subjects: Sequence[Subject]) -> dict[str, str]:
    """Return what decides the maps: the package, which images, and the version of the methods."""
    files = "\n".join(f"{subject.id}\t{subject.file}" for subject in subjects)
    digest = hashlib.sha256(files.encode(errors="surrogateescape")).hexdigest()
    return {"package": package.digest, "images": digest, **read_versions(["medmamba-monai"])}


class Pixels:
    """The pixels of subjects, read when they are needed.

    Args:
        package: whose networks see them.
    """

    def __init__(self, package: Package) -> None:
        self.package = package

    def shown(self, subject: Subject) -> np.ndarray:
        """Return what a person sees, uint8 ``(channels, *spatial)``, of the size that it is stored in."""
        return np.rint(self.package.read_unscaled(subject.source).numpy()).astype(np.uint8)

    def input(self, subject: Subject) -> Tensor:
        """Return what the network sees, (C, *spatial)."""
        return self.package.convert([self.package.read(subject.source)])[0]


def make_members(package: Package, folds: Sequence[int]) -> Members:
    """Return the networks of some folds as one that explains by their mean map."""
    sigmoid = package.manifest.activation == "sigmoid"
    return Members(
        [package.networks[fold] for fold in folds],
        torch.sigmoid if sigmoid else lambda logits: torch.softmax(logits, -1),
    )


def _shorten(image: str, folder: Path) -> str:
    path = Path(image)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def group_subjects(subjects: Sequence[Subject]) -> list[str] | None:
    """Return the group of each image; None where one has none."""
    groups = [subject.group for subject in subjects]
    return None if None in groups else [str(group) for group in groups]
