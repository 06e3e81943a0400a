from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.spelling import comparable, is_missing
from medmamba_monai.data.find.tables import Row
from medmamba_monai.data.propose.labels import Labels, ProposedLabels, propose_labels


def rows(*cells: str | tuple[str, ...]) -> list[Row]:
    split = [(cell,) if isinstance(cell, str) else cell for cell in cells]
    return [
        Row(Path("labels.csv"), line, dict(zip("abc", found, strict=False)))
        for line, found in enumerate(split, start=2)
    ]


def labels(
    *cells: str | tuple[str, ...], columns: str = "a", classes: tuple[str, ...] = (), **said: Any
) -> ProposedLabels:
    return propose_labels(rows(*cells), Labels(label_column=tuple(columns), **said), classes)


@pytest.mark.parametrize("value", ["NA", "<NA>", "", "nan", "#N/A", "NULL"])
def test_what_says_nothing_is_no_class_and_is_left_out_where_asked(value: str) -> None:
    with pytest.raises(
        UserError, match=r"line 4: a is .*, which is no class; .* --skip-unlabelled, or, if it is a class"
    ):
        labels("x", "y", value)
    found = labels("x", "y", value, skip_unlabelled=True)
    assert (found.classes, found.fields["skip_labels"]) == (("x", "y"), [value])


def test_a_class_may_be_called_na_when_all_are_named() -> None:
    assert labels("NA", "ST", classes=("NA", "ST")).classes == ("NA", "ST")


def test_rows_of_a_value_are_left_out_where_asked() -> None:
    assert labels("x", "unsure", "y", skip_labels=("unsure",)).classes == ("x", "y")


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0"), ("Yes", "yes"), ("mild dr", "mild_dr"), ("\u00e9", "e\u0301")]
)
def test_two_spellings_of_a_class_are_shown_with_their_lines(one: str, other: str) -> None:
    with pytest.raises(UserError, match=r"line 4: a is .*, in line 2 it is .*: names and aliases must differ"):
        labels(one, "z", other)
    assert set(labels(one, "z", other, classes=(one, "z")).classes) == {one, "z"}


def test_a_one_hot_table_is_one_of_several_classes() -> None:
    found = labels(("1", "0", "0.0"), ("0", "1.0", "0"), ("0", "0", "1"), columns="abc")
    assert not found.several
    assert "every row has exactly one of the label columns" in found.remarks[0]
    assert labels(("1", "0"), ("0", "1"), columns="ab", exclusive=False).several


def test_rows_with_at_most_one_label_are_remarked_on() -> None:
    found = labels(("1", "0"), ("0", "1"), ("0", "0"), columns="ab")
    assert found.several
    assert "no row has more than one of the label columns and 1 have none" in found.remarks[0]
    assert labels(("1", "1"), ("0", "1"), columns="ab").remarks == ()


def test_uncertain_and_blank_labels_must_be_declared() -> None:
    cells = (("1", ""), ("-1.0", "1"), ("1", "1"))
    with pytest.raises(UserError, match=r"line 2: b is '', expected 0 or 1; .*--label-values, --skip-labels"):
        labels(*cells, columns="ab")
    found = labels(*cells, columns="ab", label_values=("blank=0", "-1=1"))
    assert found.fields["label_values"] == {"": 0, "-1": 1}
    assert found.fields["skip_labels"] == []


@pytest.mark.parametrize("said", ["-1", "-1=2", "=1"])
def test_a_declared_value_is_zero_or_one(said: str) -> None:
    with pytest.raises(UserError, match="write VALUE=0 or VALUE=1"):
        labels(("1", "0"), columns="ab", label_values=(said,))


@given(st.lists(st.text(max_size=4) | st.sampled_from(["1", "1.0", "NA", "a", "A"]), min_size=1, max_size=6))
def test_classes_never_look_alike_and_are_never_missing(cells: list[str]) -> None:
    try:
        found = labels(*cells, skip_unlabelled=True)
    except UserError as error:
        assert "names and aliases must differ" in str(error)  # noqa: PT017 -- what is raised depends on the cells
        return
    keys = [comparable(name) for name in found.classes]
    assert len(set(keys)) == len(keys)
    assert not any(map(is_missing, found.classes))
    assert set(keys) == {comparable(cell) for cell in cells if not is_missing(cell)}
