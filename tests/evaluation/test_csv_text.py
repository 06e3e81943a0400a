from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba_monai.evaluation.csv_text import format_csv, guard_cell, parse_csv, restore_cell

DANGEROUS = ["=cmd|' /C calc'!A0", "+1+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", '"=1', "＝1", "a;=1", 'a,"=1']
HARMLESS = ["", "cat", "-0.5", "1e-05", "'s", "a-b", "a, b", "CD4+, CD8-", "-1", "+.5", "; ", "(=)"]

signs = st.text(st.sampled_from("=+-@＝;,\t\r\n '\"1.eab|\\"), max_size=12)
texts = signs | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def read_cells(text: str, separator: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_cell_begins_as_a_formula(text):
    guarded = guard_cell(text)
    assert guarded.count("'") > text.count("'")
    assert restore_cell(guarded) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_cells_stay_as_they_are(text):
    assert guard_cell(text) == text == restore_cell(text)


@given(st.lists(texts, min_size=1, max_size=4))
def test_any_text_is_read_back_and_is_no_formula_whatever_splits_the_line(cells):
    written = format_csv(cells, [cells])
    assert list(parse_csv(io.StringIO(written, newline=""))) == [cells] * 2
    for separator in ",;\t":
        for cell in read_cells(written, separator):
            start = cell.lstrip(" \t\r\n")
            assert start[:1] not in tuple("=+-@＝") or re.match(r"[+-]?[\d.]", start)
