"""Which images a folder holds: files, frames of files, and folders of DICOM slices as volumes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.documents import is_hidden, join_inside, path_to_text
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.images.kinds import count_frames, is_image_file, looks_like_dicom


@dataclass(frozen=True)
class ImageFile:
    """One image.

    Attributes:
        text: where it is, relative to the dataset folder: a file, ``file#frame[index]`` or a folder of slices; in the
            written form, see `path_to_text`.
        files: the files that it is made of, in the written form.
    """

    text: str
    files: tuple[str, ...]

    @property
    def source(self) -> str:
        """The file, or the folder of slices, that holds it, in the written form; frames of one file share it."""
        reference = FrameReference.parse(self.text)
        return reference.file if reference is not None and reference.file in self.files else self.text


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        images: sorted.
        others: files that are no images, in the written form; hidden files are not listed.
    """

    images: tuple[ImageFile, ...]
    others: tuple[str, ...]


def list_image_files(
    dataset_dir: Path,
    folder: Path,
    spatial_dims: int = 2,
    every_frame: bool = False,
    allow_links: bool = False,
) -> Listing:
    """List the images in and below a folder.

    Args:
        dataset_dir: what the paths are relative to.
        folder: where to look, within ``dataset_dir``.
        spatial_dims: 3: a folder of single DICOM slices is one volume.
        every_frame: whether each frame of a file with several is an image.
        allow_links: whether links may lead out of ``dataset_dir``.

    Raises:
        UserError: a link leaves the folder, or a file cannot be read.
    """
    images: list[ImageFile] = []
    others: list[str] = []
    for parent, paths in _by_folder(dataset_dir, folder, allow_links):
        hidden = is_hidden(parent.relative_to(dataset_dir))
        readable = [] if hidden else select_image_files(paths)
        texts = {path: path_to_text(path.relative_to(dataset_dir)) for path in paths}
        pixels = _pixels_of_headers(readable, paths)
        others += [texts[path] for path in sorted(set(paths) - set(readable) - set(pixels.values()))]
        for path in (*readable, *pixels.values()):
            join_inside(dataset_dir, texts[path], allow_links)
        if spatial_dims == 3 and _is_series(readable):
            text = path_to_text(parent.relative_to(dataset_dir))
            images.append(ImageFile(text, tuple(texts[path] for path in readable)))
            continue
        for path in readable:
            files = [path, pixels[path]] if path in pixels else [path]
            images += _of(path, tuple(texts[file] for file in files), every_frame)
    return Listing(tuple(sorted(images, key=lambda image: image.text)), tuple(sorted(others)))


def _by_folder(dataset_dir: Path, folder: Path, allow_links: bool) -> Iterator[tuple[Path, list[Path]]]:
    """Folders with their files; links to folders are followed where they may be, no folder comes twice."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        parent, real = Path(place), os.path.realpath(place)
        if parent.is_symlink() and parent != folder:
            join_inside(dataset_dir, path_to_text(parent.relative_to(dataset_dir)), allow_links)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield parent, [path for path in map(parent.joinpath, sorted(names)) if path.is_file()]


def select_image_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the files of a folder that are images, without hidden ones."""
    return [path for path in paths if not is_hidden(Path(path.name)) and is_image_file(path)]


def _pixels_of_headers(readable: Sequence[Path], paths: Sequence[Path]) -> dict[Path, Path]:
    """The .img file of each .hdr file: together they are one NIfTI image."""
    pixels = {path.stem: path for path in paths if path.suffix.lower() == ".img"}
    headers = [path for path in readable if path.suffix.lower() == ".hdr"]
    return {path: pixels[path.stem] for path in headers if path.stem in pixels}


def _is_series(paths: Sequence[Path]) -> bool:
    slices = [path for path in paths if looks_like_dicom(path)]
    if len(slices) < 2 or any(count_frames(path) > 1 for path in slices[:2]):
        return False
    if len(slices) < len(paths):
        odd = next(path for path in paths if path not in slices)
        raise UserError(
            f"{format_path(odd)}: lies among {len(slices)} DICOM slices; a series needs a folder of its own: move it"
        )
    return True


def _of(path: Path, files: tuple[str, ...], every_frame: bool) -> list[ImageFile]:
    frames = count_frames(path) if every_frame else 1
    if frames == 1:
        return [ImageFile(files[0], files)]
    return [ImageFile(str(FrameReference(files[0], index)), files) for index in range(frames)]
