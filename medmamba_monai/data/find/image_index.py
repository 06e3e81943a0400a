"""Images by the names that tables use for them."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.core.documents import text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import format_path
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import ImageFile
from medmamba_monai.images.formats import READABLE_SUFFIXES

_SUFFIXES = sorted(READABLE_SUFFIXES, key=len, reverse=True)  # .nii.gz before .gz


class ImageIndex:
    r"""Finds the image that a table names.

    A name is a path, relative to the table or to the dataset folder, or absolute; the end of a path; or a file name. It
    may leave out the suffix of an image file, and have ``\`` for ``/``. The first of these that fits counts. Case does
    not, unless names differ in nothing else. A volume of DICOM slices has the name of its folder.

    Args:
        images: the images.
        folder: the dataset.
        table_dir: folder of the table.
    """

    def __init__(self, images: Sequence[ImageFile], folder: DatasetFolder, table_dir: Path) -> None:
        self.folder = folder
        root = folder.root
        self._roots = tuple(dict.fromkeys((Path(os.path.normpath(root.absolute())), root.resolve())))
        self._bases = tuple(dict.fromkeys((Path(os.path.normpath(table_dir.absolute())), self._roots[0])))
        self._images: dict[str, list[ImageFile]] = defaultdict(list)
        for image in images:
            self._images[_use_slashes(text_to_path(image.source))].append(image)
        self._endings: dict[tuple[int, bool], dict[str, list[str]]] = {}

    def find(self, where: str, name: str) -> list[ImageFile]:
        """Return the image of a name, or all frames of it; of identical copies the first; none where nothing fits.

        Args:
            where: the row, for errors.
            name: what it names.

        Raises:
            UserError: the name is empty, or fits several images that differ.
        """
        paths = self._paths(where, name)
        return list(self._images[paths[0]]) if paths else []

    def find_copies(self, where: str, name: str) -> list[ImageFile]:
        """Find as `find` does, with every copy."""
        return [image for path in self._paths(where, name) for image in self._images[path]]

    def is_copy(self, image: ImageFile, used: set[str]) -> bool:
        """Return whether an image has the file name and the content of one of those whose ``text`` is given."""
        path = _use_slashes(text_to_path(image.source))
        same = self._ending(path.rpartition("/")[2], False)
        others = [other for other in same if other != path and any(found.text in used for found in self._images[other])]
        return any(self._content(other) == self._content(path) for other in others)

    def _paths(self, where: str, name: str) -> list[str]:
        name = _use_slashes(text_to_path(name))
        ending = _use_slashes(os.path.normpath(name))
        if ending == ".":
            raise UserError(f"{where}: names no image; complete or remove the line")
        for bare in (False, True):
            full = (path for whole in self._whole(name) for path in self._full(whole, bare))
            if found := list(dict.fromkeys(full)) or self._ending(ending, bare):
                return self._identical(where, sorted(found))
        return []

    def _whole(self, name: str) -> list[str]:
        """Return what paths from the dataset folder a name may stand for."""
        places = [Path(os.path.normpath(base / name)) for base in self._bases]
        below = [place.relative_to(root) for place in places for root in self._roots if place.is_relative_to(root)]
        return list(dict.fromkeys(_use_slashes(path.as_posix()) for path in below))

    def _full(self, whole: str, bare: bool) -> list[str]:
        return [path for path in self._ending(whole, bare) if path.count("/") == whole.count("/")]

    def _ending(self, name: str, bare: bool) -> list[str]:
        """Return the paths that end with a name, those in its very case before others."""
        length = name.count("/") + 1
        found = self._by_ending(length, bare).get(_fold_case(name), [])
        return [path for path in found if self._end(path, length, bare) == name] or found

    def _by_ending(self, length: int, bare: bool) -> dict[str, list[str]]:
        """Return the paths by their last parts, as many as asked for; made when first needed."""
        if (length, bare) not in self._endings:
            paths: dict[str, list[str]] = defaultdict(list)
            for path in self._images:
                if path.count("/") + 1 >= length:
                    paths[_fold_case(self._end(path, length, bare))].append(path)
            self._endings[length, bare] = dict(paths)
        return self._endings[length, bare]

    def _end(self, path: str, length: int, bare: bool) -> str:
        image = self._images[path][0]
        end = "/".join(path.split("/")[-length:])
        return strip_image_suffix(end) if bare and image.source in image.files else end

    def _identical(self, where: str, paths: list[str]) -> list[str]:
        if len(paths) > 1 and len(set(map(self._content, paths))) > 1:
            first, second = (format_path(self.folder.root / path) for path in paths[:2])
            raise UserError(f"{where}: fits {first} and {second}, which differ; give the path in the table")
        return paths

    def _content(self, path: str) -> tuple[str, ...]:
        files = self._images[path][0].files
        return tuple(self.folder.compute_md5(file) for file in files)


def normalize_name(name: str) -> str:
    r"""Return what names of one image have in common: all but case, ``\`` for ``/`` and an image's suffix."""
    return _fold_case(strip_image_suffix(_use_slashes(name)))


def _use_slashes(name: str) -> str:
    return name.replace("\\", "/")


def _fold_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # macOS takes letters and accents apart


def strip_image_suffix(name: str) -> str:
    """Return a file's name without the suffix of an image, such as ``.nii.gz``; any other name as it is."""
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or name
