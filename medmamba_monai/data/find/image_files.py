"""Images as files hold them: a file, a frame of one, a header with its pixels, or a folder of DICOM slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medmamba_monai.core.documents import is_hidden, text_to_path
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.images.companions import list_companions
from medmamba_monai.images.dicom.recognize import looks_like_dicom
from medmamba_monai.images.formats import READABLE_SUFFIXES, describe_unread, is_image_file
from medmamba_monai.images.kinds import count_frames
from medmamba_monai.images.slides.open import is_slide_file, list_slide_files

_NAMED_KINDS = 5


@dataclass(frozen=True, slots=True)
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


def select_image_files(paths: Iterable[Path]) -> list[Path]:
    """Return those of the files of a folder that are images, without hidden ones."""
    return [path for path in paths if not is_hidden(Path(path.name)) and is_image_file(path)]


def select_slide_files(paths: Iterable[Path]) -> list[Path]:
    """Return those of the files of a folder that are slides, without hidden ones."""
    return [path for path in paths if not is_hidden(Path(path.name)) and is_slide_file(path)]


def find_parts(slides: Sequence[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return the files beside its own that a slide is made of, of slides that are made of several."""
    found = {path: list_slide_files(path)[1:] for path in slides}
    return {path: files for path, files in found.items() if files}


def find_companions(readable: Sequence[Path]) -> dict[Path, tuple[Path, ...]]:
    """Return the files that hold the values of images whose headers stand alone; together they are one image."""
    found = {path: list_companions(path) for path in readable}
    return {path: files for path, files in found.items() if files}


def describe_others(folder: Path, others: Sequence[str]) -> str:
    """Return what a folder holds beside images, for the message that it holds none.

    Args:
        folder: the folder.
        others: its files, in the written form.
    """
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for text in others:
        by_suffix[Path(text_to_path(text)).suffix.lower()].append(text)
    parts = []
    for suffix, texts in sorted(by_suffix.items(), key=lambda item: -len(item[1]))[:_NAMED_KINDS]:
        what = describe_unread(folder / text_to_path(texts[0]))
        parts.append(f"{len(texts)} {suffix or 'without a suffix'}" + f" ({what})" * bool(what))
    there = f"there are {', '.join(parts)}; " if parts else ""
    return f"{there}readable are {', '.join(READABLE_SUFFIXES)}, and files of other names by their content"


def is_series(paths: Sequence[Path]) -> bool:
    """Return whether files are single DICOM slices.

    Raises:
        UserError: only some of them are.
    """
    slices = [path for path in paths if looks_like_dicom(path)]
    if len(slices) < 2 or any(count_frames(path) > 1 for path in slices[:2]):
        return False
    if len(slices) < len(paths):
        odd = next(path for path in paths if path not in slices)
        raise UserError(
            f"{format_path(odd)}: lies among {len(slices)} DICOM slices; a series needs a folder of its own: move it"
        )
    return True


def list_frames(path: Path, files: tuple[str, ...], every_frame: bool) -> list[ImageFile]:
    """Return a file as one image, or each of its frames as one.

    Args:
        path: the file.
        files: the texts of the files that it is made of, its own first.
        every_frame: whether each frame is an image.
    """
    frames = count_frames(path) if every_frame else 1
    if frames == 1:
        return [ImageFile(files[0], files)]
    return [ImageFile(str(FrameReference(files[0], index)), files) for index in range(frames)]
