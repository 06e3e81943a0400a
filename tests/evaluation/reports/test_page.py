"""The page: what it holds stands there as it was given, and nothing of it is fetched or run."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.reports.page import (
    KeyFigure,
    Link,
    Picture,
    Report,
    Section,
    Table,
    render_report,
    write_report,
)

HOSTILE = "<script>alert('1')</script> & \"x\" $y$ | {{ 7 * 7 }}"
TABLE = Table(["test", "AUC"], [["fold 0", "0.9"], ["a longer name", "0.1234"]], "Each fold")


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser takes them apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


def page(*sections: Section, **options: object) -> Page:
    return Page(render_report(Report("Title", "Subtitle", sections, **options)))


def test_every_text_is_shown_as_it_is_and_none_is_run():
    table, link = Table([HOSTILE], [[HOSTILE]], HOSTILE), Link(HOSTILE, "report.html")
    section = Section(HOSTILE, [HOSTILE], [HOSTILE], links=[link], code=HOSTILE, tables=[table])
    figures, warnings = [KeyFigure(HOSTILE, HOSTILE, HOSTILE)], [HOSTILE]
    found = Page(render_report(Report(HOSTILE, HOSTILE, [section], warnings, figures, HOSTILE)))
    assert found.of("script") == []
    assert found.texts.count(HOSTILE) == 17


def test_the_page_needs_nothing_else(tmp_path):
    (tmp_path / "a.svg").write_text("<svg/>")
    found = page(Section("A", pictures=[Picture(tmp_path / "a.svg", "a picture")]))
    links = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}


@pytest.mark.parametrize(("name", "kind"), [("a.png", "image/png"), ("a.svg", "image/svg+xml")])
def test_a_picture_is_inside_the_page_bit_for_bit(tmp_path, name, kind):
    (tmp_path / name).write_bytes(bytes(range(256)))
    (image,) = page(Section("A", pictures=[Picture(tmp_path / name, 'a "wide" <one>', wide=True)])).of("img")
    head, content = image["src"].split(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(content) == bytes(range(256))
    assert image["alt"] == 'a "wide" <one>'


def test_each_section_is_linked_even_where_names_have_no_letters():
    found = page(Section("模型"), Section("!"), Section("!"))
    targets = [attributes["id"] for attributes in found.of("h2")]
    assert [attributes["href"] for attributes in found.of("a")] == [f"#{name}" for name in targets]
    assert len(set(targets)) == 3


def test_what_is_empty_leaves_nothing_behind():
    tags = {tag for tag, _ in page(Section("A")).tags}
    assert not {"ul", "table", "pre", "figure"} & tags


def test_warnings_stand_before_everything_else():
    html = render_report(Report("Title", "Subtitle", [Section("A")], ["Incomplete"], [KeyFigure("AUC", "0.9")]))
    assert html.index("Incomplete") < html.index("0.9") < html.index("<h2")


def test_a_command_keeps_its_lines_and_comes_before_tables():
    html = render_report(Report("Title", "", [Section("A", code="a \\\n    b", tables=[TABLE])]))
    assert "a \\\n    b</pre>" in html
    assert html.index("<pre") < html.index("<table")


def test_a_table_has_a_caption_and_can_be_reached_by_keyboard():
    found = page(Section("A", tables=[TABLE, Table(["x"], [["y"]])]))
    regions = [attributes for attributes in found.of("div") if attributes.get("role") == "region"]
    assert [region["aria-label"] for region in regions] == ["Each fold", "A"]
    assert {region["tabindex"] for region in regions} == {"0"}
    assert "Each fold" in found.texts


def test_a_table_as_text_is_aligned():
    assert TABLE.text.splitlines() == [
        "test              AUC",
        "---------------------",
        "fold 0            0.9",
        "a longer name  0.1234",
    ]


def test_a_table_as_markdown_escapes_bars():
    assert Table(["a|b", "c"], [["d", "|"]]).markdown == "| a\\|b | c |\n| --- | ---: |\n| d | \\| |\n"


def test_a_row_that_does_not_fit_is_an_error():
    with pytest.raises(UserError, match="a row of the table 'Each fold' has 1 cells, not 2"):
        Table(["test", "AUC"], [["fold 0"]], "Each fold")


def test_a_picture_that_is_not_there_is_an_error_and_leaves_the_old_page(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, Report("First", "", []))
    missing = Section("A", pictures=[Picture(tmp_path / "none.png", "none")])
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'none.png'}: a picture of the report cannot be read")):
        write_report(path, Report("Second", "", [missing]))
    assert "First" in path.read_text(encoding="utf-8")
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_any_letters_are_written_as_utf_8(tmp_path: Path):
    write_report(tmp_path / "report.html", Report("Lungenentzündung ± 肺炎", "", []))
    assert "Lungenentzündung ± 肺炎" in (tmp_path / "report.html").read_text(encoding="utf-8")
