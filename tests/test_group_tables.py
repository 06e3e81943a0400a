from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_images import write_table

from medmamba_monai.data.card_layouts import GroupTable
from medmamba_monai.data.group_tables import position_key, read_groups
from medmamba_monai.errors import UserError

BY_INDEX = {"path": "map.csv", "split_column": "split", "index_column": "index", "group_column": "image_id"}


def table(**changes: Any) -> GroupTable:
    return GroupTable.model_validate(BY_INDEX | changes)


def test_a_pattern_takes_the_patient_out_of_a_file_name(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,00000013_005.png\nVAL,7,00000014_000.png\n")
    groups = read_groups(table(group_pattern=r"^(\d+)_"), tmp_path)
    assert groups.by_key == {position_key("train", 0): "00000013", position_key("val", 7): "00000014"}


def test_a_second_table_knows_the_lesion(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,ISIC_1.jpg\ntest,0,ISIC_2.jpg\n")
    write_table(tmp_path / "below" / "ham.csv", "lesion_id,image_id\nL7,ISIC_1\nL7,ISIC_2\n")
    joined = table(join={"path": "ham.csv", "key_column": "image_id", "group_column": "lesion_id"})
    groups = read_groups(joined, tmp_path)
    assert set(groups.by_key.values()) == {"L7"}
    assert groups.files == (tmp_path / "map.csv", tmp_path / "below" / "ham.csv")


def test_a_table_may_be_missing_unless_it_is_required(tmp_path: Path) -> None:
    assert read_groups(table(), tmp_path) is None
    with pytest.raises(UserError, match=r"has no map\.csv, which tells which images belong together"):
        read_groups(table(required=True), tmp_path)


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ("train,0,a\ntrain,0,b\n", {}, "line 3: puts an image into a second group"),
        ("train,x,a\n", {}, "split 'train' and index 'x' are not"),
        ("fold1,0,a\n", {}, "split 'fold1' and index '0' are not"),
        ("train,0,abc\n", {"group_pattern": r"(\d+)"}, "image_id is 'abc', which names no group"),
        ("train,0,a\n", {"join": {"path": "no.csv", "key_column": "k", "group_column": "g"}}, r"but not no\.csv"),
    ],
)
def test_wrong_table_is_an_error(tmp_path: Path, rows: str, changes: dict[str, Any], said: str) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\n" + rows)
    with pytest.raises(UserError, match=said):
        read_groups(table(**changes), tmp_path)


def test_an_image_that_the_second_table_does_not_know_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,a\n")
    write_table(tmp_path / "ham.csv", "lesion_id,image_id\nL7,b\n")
    joined = table(join={"path": "ham.csv", "key_column": "image_id", "group_column": "lesion_id"})
    with pytest.raises(UserError, match=r"'a' is not in .*ham\.csv"):
        read_groups(joined, tmp_path)
