"""The DICOM files of one study: which of them are judged, and what an answer takes over from them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import FrameReference, format_path
from medmamba_monai.images.dicom.header import count_header_frames, read_code, read_integer
from medmamba_monai.images.dicom.open import open_dicom
from medmamba_monai.images.dicom.recognize import looks_like_dicom
from medmamba_monai.images.raw_image import Limits

MANUFACTURER = "medmamba-monai"
"""Of the objects that this package makes, by which it knows its own."""

_NO_IMAGES = ("DOC", "KO", "PR", "REG", "RTDOSE", "SEG", "SR")
"""Modalities of objects that are derived from images; some of them have pixels."""

logger = logging.getLogger("medmamba_monai.hospital")


@dataclass(frozen=True)
class StudyFile:
    """A DICOM file of a study, without its pixels.

    Attributes:
        path: the file.
        header: all attributes before the pixels.
        frames: how many it holds; 0 where it holds no image.
        order: numbers of series and image, for a person's order.
    """

    path: Path
    header: Dataset
    frames: int
    order: tuple[int, int, str]

    @property
    def kind(self) -> str:
        """Name of what the file holds, such as "CT Image Storage"."""
        return UID(str(self.header.SOPClassUID)).name


@dataclass(frozen=True)
class StudyImage:
    """What the network judges at once.

    Attributes:
        source: what `Package.read` reads: a file, one frame of it, or the files of a volume.
        files: where it comes from.
        frame: its number in the file, from 1; None where it is all of the files.
    """

    source: str | tuple[Path, ...]
    files: tuple[StudyFile, ...]
    frame: int | None = None


@dataclass(frozen=True)
class Study:
    """What is answered.

    Attributes:
        images: those to judge, in the order of their series and numbers.
    """

    images: tuple[StudyImage, ...]

    @property
    def header(self) -> Dataset:
        """The header that patient and study are copied from: that of the first file."""
        return self.images[0].files[0].header


def find_study(folder: Path, card: DatasetCard) -> Study:
    """Find the images of a study that a card is about.

    Hidden files, a DICOMDIR and files that are no DICOM are left out. So are reports, objects derived from images,
    what this package answered before, and images of other modalities than the card declares, as long as an image stays.

    Args:
        folder: its files, also in folders below.
        card: of the dataset that the network was trained on.

    Raises:
        UserError: a file is damaged; there is no image, none of the card's modality, or no knowing which is meant; the
            files are of two patients or studies, or of two series where the card is about volumes.
    """
    limits = Limits(pixels=card.reading.max_pixels)
    files = [_read_file(path, limits) for path in _list_files(folder)]
    if not files:
        raise UserError(f"{format_path(folder)}: holds no DICOM file; give the folder of one study")
    _check_same_study(files)
    chosen = _choose_modality(_drop_repeated(_choose_images(files)), card.dicom.modality)
    chosen.sort(key=lambda file: file.order)
    make = _make_volume if card.spatial_dims == 3 else _make_flat_images
    return Study(tuple(make(chosen, card)))


def _list_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UserError(f"{format_path(folder)}: there is no such folder; give the folder of a study's DICOM files")
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.name.lower() != "dicomdir":
            if looks_like_dicom(path):
                yield path
            else:
                logger.warning(f"{format_path(path)}: is no DICOM file and is left out")


def _read_file(path: Path, limits: Limits) -> StudyFile:
    with open_dicom(path, limits, ()) as file:
        header = file.header
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if not str(header.get(keyword) or ""):
                raise UserError(f"{file.name}: has no {keyword}, so that no answer can refer to it; leave it out")
        image = "Rows" in header and file.pixels is not None and read_code(header, "Modality") not in _NO_IMAGES
        numbers = (read_integer(header, "SeriesNumber", 0), read_integer(header, "InstanceNumber", 0))
        frames = count_header_frames(header) if image else 0
        return StudyFile(path, header, frames, (*numbers, str(header.SOPInstanceUID)))


def _check_same_study(files: Sequence[StudyFile]) -> None:
    first = files[0]
    for other in files[1:]:
        for what, same in (
            ("patient", _identify_patient(first.header) == _identify_patient(other.header)),
            ("study", first.header.StudyInstanceUID == other.header.StudyInstanceUID),
        ):
            if not same:
                raise UserError(
                    f"{format_path(other.path)}: is of another {what} than {format_path(first.path)}; give a folder "
                    "that holds one study"
                )


def _identify_patient(header: Dataset) -> tuple[str, ...]:
    """Return the ID, or the name where there is no ID."""
    number = str(header.get("PatientID") or "").strip()
    return (number, "") if number else ("", str(header.get("PatientName") or "").strip())


def _choose_images(files: Iterable[StudyFile]) -> list[StudyFile]:
    others: list[StudyFile] = []
    images: list[StudyFile] = []
    for file in files:
        (images if file.frames and not _is_own(file.header) else others).append(file)
    if not images:
        raise UserError(
            f"{format_path(others[0].path)}: is no image but {others[0].kind}; give the images of the study"
        )
    for file in others:
        logger.info(f"{format_path(file.path)}: is {file.kind} and is not judged")
    return images


def _is_own(header: Dataset) -> bool:
    return header.SOPClassUID == SecondaryCaptureImageStorage and header.get("Manufacturer") == MANUFACTURER


def _drop_repeated(files: Iterable[StudyFile]) -> list[StudyFile]:
    """Keep one of the files that have the same UID."""
    found: dict[str, StudyFile] = {}
    for file in files:
        if (uid := str(file.header.SOPInstanceUID)) in found:
            logger.warning(f"{format_path(file.path)}: has the UID of {format_path(found[uid].path)} and is left out")
        found.setdefault(uid, file)
    return list(found.values())


def _choose_modality(files: Sequence[StudyFile], declared: Sequence[str]) -> list[StudyFile]:
    found = {file.path: read_code(file.header, "Modality") for file in files}
    first, codes = files[0], sorted(set(found.values()))
    if not declared and len(codes) > 1:
        other = next(file for file in files if found[file.path] != found[first.path])
        raise UserError(
            f"{format_path(other.path)}: is {found[other.path]} and {format_path(first.path)} {found[first.path]}, and "
            "the card does not say which is meant: give dicom.modality in the card, or a folder with one of them"
        )
    if not declared:
        logger.warning(f"the card declares no dicom.modality: {codes[0]} is taken for what the network was trained on")
        return list(files)
    kept = [file for file in files if found[file.path] in declared]
    if not kept:
        raise UserError(
            f"{format_path(first.path)}: is {found[first.path]}, but the network is for {' and '.join(declared)} (the "
            "card's dicom.modality); give a study of these"
        )
    if len(kept) < len(files):
        logger.warning(
            f"{len(files) - len(kept)} images of other modalities than {' and '.join(declared)} are left out"
        )
    return kept


def _make_volume(files: Sequence[StudyFile], card: DatasetCard) -> Iterator[StudyImage]:
    first = files[0]
    for other in files:
        if other.header.SeriesInstanceUID != first.header.SeriesInstanceUID:
            raise UserError(
                f"{format_path(other.path)}: is of another series than {format_path(first.path)}, and the network "
                "judges one volume: give a folder with the series that is meant"
            )
    yield StudyImage(tuple(file.path for file in files), tuple(files))


def _make_flat_images(files: Sequence[StudyFile], card: DatasetCard) -> Iterator[StudyImage]:
    for file in files:
        frame = card.reading.frame
        if file.frames == 1 or frame is None:  # without a frame in the card, reading says that one must be declared
            yield StudyImage(str(file.path), (file,))
        elif frame == "all":
            for index in range(file.frames):
                yield StudyImage(str(FrameReference(str(file.path), index)), (file,), index + 1)
        else:
            yield StudyImage(str(file.path), (file,), frame + 1)
