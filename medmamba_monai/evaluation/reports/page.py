"""Self-contained HTML pages of sections, tables and pictures, which open anywhere: no network, no scripts."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_text
from medmamba_monai.evaluation.tables import Table


@dataclass(frozen=True)
class KeyFigure:
    """A number that is shown large at the top: its name, its value and what it is of."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An image file, PNG or SVG, that is put into the page.

    Attributes:
        path: the file.
        text: what it shows, for who cannot see it and below it.
        wide: whether it takes the whole width of the page.
    """

    path: Path
    text: str
    wide: bool = False

    @property
    def data_uri(self) -> str:
        """The file as it stands in the page."""
        kind = mimetypes.guess_type(self.path.name)[0]
        return f"data:{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Link:
    """A file or a folder beside the page: what it is, and where, relative to the page."""

    text: str
    address: str


@dataclass(frozen=True)
class Section:
    """A part of the page, in the order of the attributes; what is empty is left out.

    Attributes:
        title: heading.
        paragraphs: plain text.
        bullets: plain text, one point each.
        links: to what lies beside the page.
        code: a command, shown as it is to be typed.
        tables: its tables.
        pictures: its pictures, two beside each other where they are not wide.
    """

    title: str
    paragraphs: Sequence[str] = ()
    bullets: Sequence[str] = ()
    links: Sequence[Link] = ()
    code: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Report:
    """The page.

    Attributes:
        title: of the page.
        subtitle: one line below it.
        warnings: what must be read first, such as folds that are missing.
        key_figures: numbers for the top.
        sections: all else.
        footer: one line at the end.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    key_figures: Sequence[KeyFigure] = field(default_factory=tuple)
    footer: str = ""


def render_report(report: Report) -> str:
    """Return the page as HTML; every text is escaped, whatever it holds.

    Raises:
        UserError: a picture cannot be read.
    """
    from jinja2 import Environment

    template = (files("medmamba_monai.evaluation.reports") / "page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    try:
        return environment.from_string(template).render(report=report)
    except OSError as error:
        raise UserError(f"{error.filename}: a picture of the report cannot be read ({error.strerror})") from error


def write_report(path: Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        UserError: a picture cannot be read, or the file cannot be written.
    """
    write_text(path, render_report(report))
