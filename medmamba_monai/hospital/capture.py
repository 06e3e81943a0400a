"""The answer as pictures (Secondary Capture), for viewers that do not show reports."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from medmamba_monai import __version__
from medmamba_monai.hospital.identity import Answer, copy_study
from medmamba_monai.hospital.judgement import RESEARCH_ONLY, Judgement, format_share
from medmamba_monai.hospital.study import MANUFACTURER, StudyImage

IN_FULL = 8
"""Images of a study, at most, that pictures tell everything of."""

_SIZE = (1024, 768)
_MARGIN, _LETTERS, _TITLE_LETTERS = 32, 78, 54
_TEXT_HEIGHT, _TITLE_HEIGHT, _LINE = 20, 28, 29
_LINES = (_SIZE[1] - 2 * _MARGIN) // _LINE - 4
"""Of a page, below its title and above its foot."""


@dataclass(frozen=True)
class Series:
    """A series of pictures in the study.

    Attributes:
        number: as the archive lists it; the report's is 9801.
        description: of the series.
        names: what tells its UIDs from those of others of the same answer.
    """

    number: int
    description: str
    names: tuple[str, ...]


PAGES = Series(9802, "Network's report as pictures, research only", ("capture",))


def make_captures(answer: Answer, judgements: Sequence[Judgement]) -> list[Dataset]:
    """Return the pages of an answer, with as many images on each as there is room for.

    Of many images each gets a line, so that a scan of hundreds of slices makes no hundreds of pictures; the report has
    the rest. Nothing is drawn that tells the patient or the date.

    Args:
        answer: what is answered and by what.
        judgements: of each image of the study.
    """
    pairs = list(enumerate(zip(answer.study.images, judgements, strict=True), 1))
    if len(pairs) > IN_FULL:
        lines = [line for number, pair in pairs for line in _describe_briefly(number, *pair)]
        pages = list(fill_pages([["Calibrated probabilities; more stands in the report.", *lines]]))
    else:
        pages = list(fill_pages([_describe_image(number, *pair) for number, pair in pairs]))
    return [
        make_capture(answer, PAGES, number, draw_page(answer, page, number, len(pages)))
        for number, page in enumerate(pages, 1)
    ]


def fill_pages(blocks: Sequence[Sequence[str]], lines: int = _LINES) -> Iterator[list[str]]:
    """Return the lines of each page; a block is split only where it is longer than a page.

    Args:
        blocks: lines that belong together.
        lines: that a page has room for.
    """
    page: list[str] = []
    for block in blocks:
        if page and len(page) + 1 + len(block) > lines:
            yield page
            page = []
        page = [*page, "", *block] if page else list(block)
        while len(page) > lines:
            yield page[:lines]
            page = page[lines:]
    if page:
        yield page


def draw_page(answer: Answer, lines: Sequence[str], number: int, pages: int) -> np.ndarray:
    """Draw a page: (rows, columns), uint8, white on black."""
    picture = Image.new("L", _SIZE, 0)
    draw = ImageDraw.Draw(picture)
    title = _shorten(answer.algorithm, _TITLE_LETTERS)
    warning = _shorten(f"{RESEARCH_ONLY} {answer.package.card.intended_use}", _LETTERS)
    draw.text((_MARGIN, _MARGIN), title, 255, _load_font(_TITLE_HEIGHT))
    draw.text((_MARGIN, _MARGIN + _TITLE_HEIGHT + 8), warning, 255, _load_font(_TEXT_HEIGHT))
    for place, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + (place + 3) * _LINE), line, 220, _load_font(_TEXT_HEIGHT))
    foot = f"{MANUFACTURER} {answer.version}   page {number} of {pages}"
    draw.text((_MARGIN, _SIZE[1] - _MARGIN), foot, 160, _load_font(_TEXT_HEIGHT - 5), anchor="ls")
    return np.asarray(picture)


def name_image(number: int, image: StudyImage) -> str:
    """Return what a reader finds an image of the study by: the numbers of its series, image and frame."""
    header = image.files[0].header
    place = f"{number}. series {header.get('SeriesNumber') or '?'}"
    if len(image.files) == 1:
        place += f", image {header.get('InstanceNumber') or '?'}"
    return f"{place}, frame {image.frame}" if image.frame else place


def _describe_briefly(number: int, image: StudyImage, judgement: Judgement) -> list[str]:
    names = [
        f"{judgement.class_names[label]} {format_share(judgement.calibrated[label])}" for label in judgement.predicted
    ]
    said = "; ".join([", ".join(names) or "no class above 50 %", *judgement.reasons])
    return _wrap(f"{name_image(number, image)}: {said}", "")


def _describe_image(number: int, image: StudyImage, judgement: Judgement) -> list[str]:
    sentences = judgement.describe()
    values = zip(judgement.class_names, judgement.probabilities, judgement.calibrated, strict=True)
    shares = "; ".join(f"{name} {format_share(raw)} ({format_share(after)})" for name, raw, after in values)
    texts = [*sentences, f"Probabilities (calibrated): {shares}."]
    return [name_image(number, image), *(line for text in texts for line in _wrap(text))]


def _shorten(text: str, letters: int) -> str:
    return textwrap.shorten(text, letters, placeholder=" ...")


def _wrap(text: str, indent: str = "   ") -> list[str]:
    joined = text.replace(" %", "\N{NO-BREAK SPACE}%")
    return textwrap.wrap(joined, _LETTERS, initial_indent=indent, subsequent_indent="     ")


@cache
def _load_font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that matplotlib carries, which knows Greek and Cyrillic, too; without it Pillow's own."""
    found = find_spec("matplotlib")
    path = Path(found.origin or "").parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if found else Path()
    return ImageFont.truetype(str(path), height) if path.is_file() else ImageFont.load_default(height)


def make_capture(answer: Answer, series: Series, number: int, pixels: np.ndarray) -> Dataset:
    """Return a picture as an object of the study that is answered.

    Args:
        answer: what is answered and by what.
        series: that it belongs to.
        number: of the picture in it, from 1.
        pixels: uint8 (rows, columns) or (rows, columns, 3), without anything that tells the patient.
    """
    kind, *more = series.names
    made = SCImage(
        pixel_array=pixels,
        photometric_interpretation="MONOCHROME2" if pixels.ndim == 2 else "RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=str(answer.study.header.StudyInstanceUID),
        series_instance_uid=answer.make_uid(f"{kind} series", *more),
        series_number=series.number,
        sop_instance_uid=answer.make_uid(*series.names, number),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=answer.package.manifest.network.name,
        software_versions=__version__,
        series_description=series.description,
    )
    made.ConversionType = ConversionTypeValues.WSD.value
    for keyword in ("PatientOrientation", "Laterality"):
        setattr(made, keyword, None)  # a page of text has none, which the library does not know of
    made.BurnedInAnnotation = "NO"  # DICOM means what tells the patient
    made.ImageType = ["DERIVED", "SECONDARY"]
    made["PixelData"].VR = "OB"
    copy_study(made, answer.study, [])
    return made
