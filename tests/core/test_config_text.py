from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from medmamba_monai.core.config_text import check_config_text, check_prose

signs = st.text(st.sampled_from("@@##::%%$$+_ .abA1\n\x85\u2028é-/'\"(){}"), min_size=1, max_size=10)
texts = signs | st.text(min_size=1)
REFUSED = [
    "$1",
    "@a",
    "%a",
    "@",
    "#1",
    "a#b",
    "@::a",
    "a @::b",
    "50%::x",
    "a%#b",
    "a\nb",
    "a\x85b",
    "a\u2028b",
    "a\udcff",
]
CARRIED = ["50 %", "a@b.org", "C::D", "::x", "+a", "_target_", "é", "a $1", "(@)", "100%", "no-break\xa0space", "中文"]


def parse(text: str) -> list[object]:
    """What MONAI makes of a text in metadata and in a config, at several depths, referred to as the bundles do."""
    parser = ConfigParser(
        {
            "text": text,
            "parts": [{"text": [text]}],
            "name": "@_meta_::dataset::title",
            "names": "$list(@_meta_::format::channel_def.values())",
            "copied": "%parts",
        }
    )
    parser.read_meta({"dataset": {"title": text}, "format": {"channel_def": {"0": text, "1": text}}})
    ids = ("text", "name", "_meta_::dataset::title", "parts::0::text::0", "copied::0::text::0")
    return [*map(parser.get_parsed_content, ids), *parser.get_parsed_content("names")]


def is_refused(text: str) -> bool:
    try:
        assert check_config_text(text) == text
    except ValueError:
        return True
    return False


@given(texts)
def test_a_text_is_carried_unchanged_or_refused(text):
    if not is_refused(text):
        assert parse(text) == [text] * 7


@pytest.mark.parametrize("text", CARRIED)
def test_a_text_that_only_looks_so_is_carried(text):
    assert not is_refused(text)
    assert parse(text) == [text] * 7


@pytest.mark.parametrize("text", REFUSED)
def test_each_spelling_is_refused(text):
    assert is_refused(text)


@pytest.mark.parametrize("text", ["#1", "a#b", "@::a", "a @::b", "50%::x", "a%#b"])
def test_what_is_refused_would_have_become_something_else(text):
    try:
        found = parse(text)
    except (ValueError, KeyError):  # MONAI's own errors name neither a card nor a file
        return
    assert found != [text] * 7


def test_documents_may_number_things():
    assert check_prose("see issue #49") == "see issue #49"
    with pytest.raises(ValueError, match="rename it"):
        check_prose("@#49")
