from __future__ import annotations

from pathlib import Path

import pytest

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
