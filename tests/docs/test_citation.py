from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from medmamba_monai import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_is_a_citation_file(citation: dict) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= citation.keys()
    assert citation["type"] == "software"


def test_it_has_the_version_of_the_package(citation: dict) -> None:
    assert citation["version"] == __version__


def test_the_paper_is_what_is_cited(citation: dict) -> None:
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["url"].endswith("2403.03849")
    assert all({"family-names", "given-names"} <= author.keys() for author in paper["authors"])
