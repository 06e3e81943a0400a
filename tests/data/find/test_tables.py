from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.tables import find_file, read_table


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


def test_a_file_is_found_at_any_depth_whatever_its_case(tmp_path: Path) -> None:
    path = written(tmp_path, b"x", "a/b/Metadata.CSV")
    written(tmp_path, b"y", "a/.hidden/metadata.csv")
    assert find_file(tmp_path, "metadata.csv") == path
    assert find_file(tmp_path, "other.csv") is None


def test_copies_of_a_file_count_as_one_and_others_do_not(tmp_path: Path) -> None:
    written(tmp_path, b"x", "a/m.csv")
    written(tmp_path, b"x", "b/m.csv")
    assert find_file(tmp_path, "m.csv") == tmp_path / "a" / "m.csv"
    written(tmp_path, b"z", "c/m.csv")
    with pytest.raises(UserError, match="have the same name and differ"):
        find_file(tmp_path, "m.csv")


def test_the_very_case_of_a_name_goes_first(tmp_path: Path) -> None:
    written(tmp_path, b"x", "a/m.csv")
    written(tmp_path, b"y", "a/M.csv")
    assert find_file(tmp_path, "m.csv") == tmp_path / "a" / "m.csv"


def test_a_table_that_is_a_link_out_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "m.csv").symlink_to(written(tmp_path, b"x", "elsewhere.csv"))
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        find_file(tmp_path / "data", "m.csv")
    assert find_file(tmp_path / "data", "m.csv", allow_links=True) is not None
