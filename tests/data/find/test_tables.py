from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.tables import read_table


def written(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_blanks_around_names_and_values_do_not_count(tmp_path: Path) -> None:
    path = written(tmp_path, b"Image_name;Train ;Plane\nPatient_1 ;1 ; Fetal brain\n")
    rows = read_table(path, ["Train ", "Plane"], ";")
    assert (rows[0]["Train"], rows[0]["Train "], rows[0]["Plane"]) == ("1", "1", "Fetal brain")
    assert rows[0].where == f"{path}, line 2"


def test_a_byte_order_mark_and_empty_lines_are_read_over(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffimage,label\r\na,1\r\n,\r\n\r\nb,2\r\n".encode())
    assert [row["image"] for row in read_table(path, ["image"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a;b\n1;2\n", r"has no column 'image'; it has 'a;b' \(read with ',' between the cells\)"),
        (b"", "it has none"),
        (b"image,image\n1,2\n", "has the column 'image' more than once"),
        (b"image,label\nx\n", r"line 2: has 1 cells, the header has 2"),
        (b"image\n\xe9\n", "is not text in utf-8-sig"),
        (b'image\n"x\n', "is not a table"),
    ],
)
def test_wrong_table_is_an_error_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=said) as caught:
        read_table(path, ["image"])
    assert str(caught.value).startswith(str(path))


def test_another_encoding_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, b"image\n\xe9\n")
    assert read_table(path, ["image"], encoding="latin-1")[0]["image"] == "é"
    with pytest.raises(UserError, match="encoding 'klingon' is not known"):
        read_table(path, ["image"], encoding="klingon")


@pytest.mark.parametrize("first", [b"sep=;\r\n", b'"sep=;"\n', b"\xef\xbb\xbfSEP=;\n"])
def test_the_separator_that_excel_writes_first_is_no_row(tmp_path: Path, first: bytes) -> None:
    path = written(tmp_path, first + b"image;label\na;1\nb\n")
    with pytest.raises(UserError, match="line 4: has 1 cells, the header has 2"):
        read_table(path, ["image"], ";")
    path.write_bytes(first + b"image;label\na;1\n")
    assert [(row["image"], row.line) for row in read_table(path, ["image"], ";")] == [("a", 3)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel file; save it as CSV"),
        (b"PK\x03\x04", "is an Excel file; save it as CSV"),
        (b"\r\n<HTML><table>", "is an HTML page, whatever its name says; save it as CSV"),
        (b"\x1f\x8b\x08", "is compressed by gzip"),
        (b"PAR1", "is a Parquet file"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_table(written(tmp_path, content, "labels.xls"), ["image"])


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(st.tuples(cells, cells), max_size=5), st.sampled_from(",;\t|"))
def test_any_cell_is_read_as_it_was_written(rows: list[tuple[str, str]], separator: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL)
            writer.writerows([("image", "label"), *rows])
        found = [(row["image"], row["label"]) for row in read_table(path, ["image", "label"], separator)]
    stripped = [(image.strip(), label.strip()) for image, label in rows]
    assert found == [row for row in stripped if any(row)]
