from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba_monai.core.spelling import comparable, is_missing, is_nobody


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            ("Mild DR", "mild_dr"),
            ("a-b", "a  b"),
            ("3", "3.0"),
            ("1.", "1"),
            ("007", "7"),
            ("-1.0", "-1"),
            ("+2", "2"),
        ),
        *(
            ("é", "e\u0301"),
            ("a\u00a0b", "a b"),
            ("a\u200bb", "ab"),
            ("ＡＢ", "ab"),
            ("x\ufeff", "x"),
            ("ﬁbroma", "fibroma"),
        ),
    ],
)
def test_texts_that_look_alike_are_one(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"), [("HER2+", "HER2-"), ("1", "-1"), ("1.5", "15"), ("1.10", "1.1"), ("1.0.0", "1"), ("10", "1")]
)
def test_texts_that_differ_to_a_reader_are_two(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize("value", ["", " ", "NA", "<NA>", "nan", "NaN", "N/A", "null", "NULL", "NaT", "#N/A"])
def test_what_programs_write_for_nothing_is_missing(value: str) -> None:
    assert is_missing(value)
    assert is_nobody(value)


@pytest.mark.parametrize("value", ["none", "unknown", "-", "0", "normal", "naevus", "Nana"])
def test_what_may_be_a_class_is_not_missing(value: str) -> None:
    assert not is_missing(value)
    assert is_nobody(value) == (value in ("none", "unknown", "-"))


@given(st.text())
def test_a_name_is_compared_with_itself_whatever_it_is(name: str) -> None:
    assert comparable(comparable(name)) == comparable(name) == comparable(f" {name.strip()}\t")
