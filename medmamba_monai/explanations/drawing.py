"""Maps of subjects: drawn once, kept as files, and shown over the images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import replace_atomically, write_json
from medmamba_monai.evaluation.figures.maps import Tile, choose_planes
from medmamba_monai.evaluation.figures.style import format_fraction
from medmamba_monai.evaluation.figures.tiles import shorten_start
from medmamba_monai.explain import EXPLANATIONS
from medmamba_monai.explanations.folder import ExplanationFolder
from medmamba_monai.explanations.subjects import Pixels, Subject
from medmamba_monai.explanations.volumes import is_nifti_volume, write_in_space


class Drawings:
    """The maps of subjects for their predicted classes.

    Args:
        subjects: the images.
        pixels: reads them.
        folder: where maps are kept.
        identity: what decides them, see `identify`.

    Attributes:
        probabilities: of each class, by id.
        predicted: number of the class with the highest, by id.

    Raises:
        UserError: the folder holds maps of other images or another run.
    """

    def __init__(
        self, subjects: Sequence[Subject], pixels: Pixels, folder: ExplanationFolder, identity: dict[str, str]
    ) -> None:
        self.subjects, self.pixels, self.folder, self.identity = list(subjects), pixels, folder, identity
        _claim(folder, identity)
        judged = tqdm(self.subjects, "images", leave=False, unit="image", disable=None)
        self.probabilities = {s.id: s.members.predict(pixels.input(s)[None])[0].cpu().numpy() for s in judged}
        self.predicted = {name: int(row.argmax()) for name, row in self.probabilities.items()}
        self.class_names = pixels.package.manifest.class_names

    def draw(self, method: str) -> None:
        """Draw and keep the maps of a method that are not there yet.

        Raises:
            UserError: the method cannot explain the networks, or an image cannot be read.
        """
        for subject in tqdm(self.subjects, EXPLANATIONS[method].title, leave=False, unit="image", disable=None):
            path = self.folder.map(method, subject.id)
            if not path.is_file():
                image = self.pixels.input(subject)[None]
                found = subject.members.draw(method, image, self.predicted[subject.id])[0]
                path.parent.mkdir(parents=True, exist_ok=True)
                with replace_atomically(path) as temporary, temporary.open("wb") as file:
                    np.save(file, found)
            volume, package = self.folder.volume(method, subject.id), self.pixels.package
            if is_nifti_volume(subject.source, package.card.spatial_dims) and not volume.is_file():
                seen = package.manifest.reading.get("field_of_view")
                write_in_space(volume, self.read_map(method, subject), subject.source, seen)

    def read_map(self, method: str, subject: Subject) -> np.ndarray:
        """Return a map that was drawn, float32 (*spatial)."""
        return np.asarray(np.load(self.folder.map(method, subject.id), allow_pickle=False))

    def make_tiles(self, subject: Subject, methods: Sequence[str], place: np.ndarray | None = None) -> list[Tile]:
        """Return the image and its maps as tiles, of a volume three planes of each."""
        shown, label = self.pixels.shown(subject), self.predicted[subject.id]
        maps = {EXPLANATIONS[method].title: self.read_map(method, subject) for method in methods}
        said = f"{format_fraction(float(self.probabilities[subject.id][label]))} {self.class_names[label]}"
        truth = [] if subject.label is None else [f"true: {self.class_names[subject.label]}"]
        return lay_out_maps(shown, maps, [said, *truth, shorten_start(subject.id)], place)


def lay_out_maps(
    shown: np.ndarray, maps: Mapping[str, np.ndarray], caption: Sequence[str], place: np.ndarray | None = None
) -> list[Tile]:
    """Return an image and maps of it as tiles, of a volume three planes of each.

    Args:
        shown: what a person sees, uint8 ``(channels, *spatial)``.
        maps: ``(*spatial)`` of any resolution, by the title of the method.
        caption: of the image, a line each.
        place: where the finding is, bool (rows, columns); None where that is not known.
    """
    if shown.ndim == 3:
        image = _show(shown)
        return [
            Tile(image, caption, place=place),
            *(Tile(image, [title], values, place) for title, values in maps.items()),
        ]
    rows = [choose_planes(shown, values) for values in maps.values()]
    pairs = [
        (Tile(_show(image), [name, *caption]), Tile(_show(image), [title, name], values))
        for title, row in zip(maps, rows, strict=True)
        for name, image, values in row
    ]
    return [tile for pair in pairs for tile in pair]


def _claim(folder: ExplanationFolder, identity: dict[str, str]) -> None:
    """Note what the folder's maps are of, and refuse a folder of others."""
    if folder.settings.is_file() and json.loads(folder.settings.read_text(encoding="utf-8")) != identity:
        raise UserError(
            f"--output {folder.path}: holds maps of other images, of another run or of another version of "
            "medmamba-monai; choose another folder, or remove it"
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.settings, identity)


def _show(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
