"""A dataset's folder: finds and names the files in it, and lists its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.documents import is_hidden, join_inside, path_to_text, text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.download import compute_md5
from medmamba_monai.data.find.image_files import (
    ImageFile,
    Listing,
    find_companions,
    find_parts,
    is_series,
    list_frames,
    select_image_files,
    select_slide_files,
)


@dataclass(frozen=True)
class DatasetFolder:
    """A folder of data, and whether links may lead out of it; making one touches no disk.

    Files in it are named by their text: the relative path as a fold list holds it, see `path_to_text`.

    Attributes:
        root: the folder, which need not exist.
        allow_links: whether symbolic links may lead out of it.
    """

    root: Path
    allow_links: bool = False

    def __str__(self) -> str:
        """Return the path."""
        return str(self.root)

    def exists(self) -> bool:
        """Return whether the folder is there."""
        return self.root.is_dir()

    def find(self, text: str) -> Path:
        """Return where a file is to be, whether or not it is there.

        Raises:
            UserError: its path leads out of the folder, or does so through a link that may not.
        """
        return join_inside(self.root, text, self.allow_links)

    def locate(self, text: str) -> Path:
        """Return where a file is that was found before; its links are not looked at again."""
        return self.root / text_to_path(text)

    def to_text(self, path: Path) -> str:
        """Return the text of a file in the folder."""
        return path_to_text(path.relative_to(self.root))

    def compute_md5(self, text: str) -> str:
        """Return the MD5 of a file that was found before; one that did not change is read once per process."""
        return compute_md5(self.locate(text))

    def find_named(self, name: str) -> Path | None:
        """Find a file in or below the folder by its path or its name, whatever its case.

        Returns:
            The file; None where there is none. Identical copies of it count as one, names in the very case go first.

        Raises:
            UserError: several files of the name differ, or one is a link that leaves the folder and may not.
        """
        if (path := self.find(name)).is_file():
            return path
        wanted = Path(text_to_path(name)).name
        named = (path for path in self.root.rglob("*") if path.name.casefold() == wanted.casefold() and path.is_file())
        below = sorted(path.relative_to(self.root) for path in named)
        found = [self.find(path_to_text(path)) for path in below if not is_hidden(path)]
        found = [path for path in found if path.name == wanted] or found
        if len(found) > 1 and len({compute_md5(path) for path in found}) > 1:
            raise UserError(
                f"{found[0]} and {found[1]} have the same name and differ; move away the one that is not wanted"
            )
        return found[0] if found else None

    def list_images(
        self, below: Path | None = None, spatial_dims: int = 2, every_frame: bool = False, *, slides: bool = False
    ) -> Listing:
        """List the images in the folder.

        Args:
            below: a folder in it, where only that is meant.
            spatial_dims: 3: a folder of single DICOM slices is one volume.
            every_frame: whether each frame of a file with several is an image.
            slides: whether the images are slides, which are known by the suffixes of their files.

        Raises:
            UserError: a link leaves the folder, or a file cannot be read.
        """
        images: list[ImageFile] = []
        others: set[str] = set()
        used: set[str] = set()
        for parent, paths in self._walk(self.root if below is None else below):
            select = select_slide_files if slides else select_image_files
            readable = [] if is_hidden(parent.relative_to(self.root)) else select(paths)
            companions = find_parts(readable) if slides else find_companions(readable)
            values = {file for files in companions.values() for file in files}
            readable = [path for path in readable if path not in values]
            others |= {self.to_text(path) for path in set(paths) - set(readable)}
            texts = {path: self.to_text(path) for path in (*readable, *values)}
            for text in texts.values():
                self.find(text)
            used |= {texts[path] for path in values}  # also in folders below
            if spatial_dims == 3 and is_series(readable):
                images.append(ImageFile(self.to_text(parent), tuple(texts[path] for path in readable)))
                continue
            for path in readable:
                files = (path, *companions.get(path, ()))
                images += list_frames(path, tuple(texts[file] for file in files), every_frame)
        return Listing(tuple(sorted(images, key=lambda image: image.text)), tuple(sorted(others - used)))

    def _walk(self, below: Path) -> Iterator[tuple[Path, list[Path]]]:
        """Yield folders with their files; links to folders are followed where they may be, no folder comes twice."""
        seen: set[str] = set()
        for place, folders, names in os.walk(below, followlinks=True):
            parent, real = Path(place), os.path.realpath(place)
            if parent.is_symlink() and parent != below:
                self.find(self.to_text(parent))
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            yield parent, [path for path in map(parent.joinpath, sorted(names)) if path.is_file()]
