from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.cards.layouts import GroupTable
from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.group_tables import make_position_key, read_groups
from medmamba_monai.data.find.image_files import ImageFile
from tests.helpers.small_images import write_table

BY_INDEX = {"path": "map.csv", "split_column": "split", "index_column": "index", "group_column": "image_id"}


def table(**changes: Any) -> GroupTable:
    return GroupTable.model_validate(BY_INDEX | changes)


def test_a_pattern_takes_the_patient_out_of_a_file_name(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,00000013_005.png\nVAL,7,00000014_000.png\n")
    groups = read_groups(table(group_pattern=r"^(\d+)_"), DatasetFolder(tmp_path))
    assert groups.by_position() == {make_position_key("train", 0): "00000013", make_position_key("val", 7): "00000014"}


def test_a_second_table_knows_the_lesion(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,ISIC_1.jpg\ntest,0,ISIC_2.jpg\n")
    write_table(tmp_path / "below" / "ham.csv", "lesion_id,image_id\nL7,ISIC_1\nL7,ISIC_2\n")
    joined = table(join={"path": "ham.csv", "key_column": "image_id", "group_column": "lesion_id"})
    groups = read_groups(joined, DatasetFolder(tmp_path))
    assert set(groups.by_position().values()) == {"L7"}
    assert groups.files == (tmp_path / "map.csv", tmp_path / "below" / "ham.csv")


def test_a_table_may_be_missing_unless_it_is_required(tmp_path: Path) -> None:
    assert read_groups(table(), DatasetFolder(tmp_path)) is None
    with pytest.raises(UserError, match=r"has no map\.csv, which tells which images belong together"):
        read_groups(table(required=True), DatasetFolder(tmp_path))


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ("train,0,a\ntrain,0,b\n", {}, "line 3: puts an image into a second group"),
        ("train,x,a\n", {}, "split 'train' and index 'x' are not"),
        ("fold1,0,a\n", {}, "split 'fold1' and index '0' are not"),
        ("train,²,a\n", {}, "split 'train' and index '²' are not"),
        ("train,0,abc\n", {"group_pattern": r"(\d+)"}, "image_id is 'abc', which names no group"),
        ("train,0,abc\n", {"group_pattern": r"abc|p(\d+)"}, "line 2: image_id is 'abc', which names no group"),
        ("train,0,abc\n", {"group_pattern": r"^(\d*)"}, "line 2: image_id is 'abc', which names no group"),
        ("train,0,\n", {}, "line 2: image_id is '', which names no group"),
        ("train,0,a\n", {"join": {"path": "no.csv", "key_column": "k", "group_column": "g"}}, r"but not no\.csv"),
    ],
)
def test_wrong_table_is_an_error(tmp_path: Path, rows: str, changes: dict[str, Any], said: str) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\n" + rows)
    with pytest.raises(UserError, match=said):
        read_groups(table(**changes), DatasetFolder(tmp_path)).by_position()


def test_an_image_that_the_second_table_does_not_know_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,a\n")
    write_table(tmp_path / "ham.csv", "lesion_id,image_id\nL7,b\n")
    joined = table(join={"path": "ham.csv", "key_column": "image_id", "group_column": "lesion_id"})
    with pytest.raises(UserError, match=r"'a' is not in .*ham\.csv"):
        read_groups(joined, DatasetFolder(tmp_path))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("L7,a\nL8,A.png\n", r"ham\.csv, line 3: puts an image into a second group"),
        ("L7,a\n,b\n", r"ham\.csv, line 3: has no lesion_id"),
    ],
)
def test_wrong_second_table_is_an_error(tmp_path: Path, rows: str, said: str) -> None:
    write_table(tmp_path / "map.csv", "split,index,image_id\ntrain,0,a\n")
    write_table(tmp_path / "ham.csv", "lesion_id,image_id\n" + rows)
    joined = table(join={"path": "ham.csv", "key_column": "image_id", "group_column": "lesion_id"})
    with pytest.raises(UserError, match=said):
        read_groups(joined, DatasetFolder(tmp_path))


BY_NAME = {"path": "map.csv", "image_column": "image", "group_column": "patient"}


def by_image(folder: Path, rows: str, *names: str) -> dict[str, str]:
    write_table(folder / "map.csv", "image,patient\n" + rows)
    images = [ImageFile(name, (name,)) for name in names]
    for number, name in enumerate(names):
        write_table(folder / name, str(number))
    return read_groups(GroupTable.model_validate(BY_NAME), DatasetFolder(folder)).by_image(
        images, DatasetFolder(folder)
    )


def test_paths_and_dots_tell_images_apart(tmp_path: Path) -> None:
    groups = by_image(
        tmp_path, "a/0.png,P1\nb\\0.png,P2\nscan.1,P3\nscan.2,P4\n", "a/0.png", "b/0.png", "scan.1.png", "scan.2"
    )
    assert groups == {"a/0.png": "P1", "b/0.png": "P2", "scan.1.png": "P3", "scan.2": "P4"}


def test_rows_of_images_that_are_not_there_do_not_matter(tmp_path: Path) -> None:
    assert by_image(tmp_path, "0,P1\n1,P2\n", "a/0.nii.gz") == {"a/0.nii.gz": "P1"}


def test_copies_of_an_image_have_its_group(tmp_path: Path) -> None:
    names = ("a/0.png", "b/0.png")
    for name in names:
        write_table(tmp_path / name, "same")
    write_table(tmp_path / "map.csv", "image,patient\n0.png,P1\n")
    groups = read_groups(GroupTable.model_validate(BY_NAME), DatasetFolder(tmp_path))
    assert groups.by_image([ImageFile(name, (name,)) for name in names], DatasetFolder(tmp_path)) == dict.fromkeys(
        names, "P1"
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0.png,P1\n", r"map\.csv, line 2: fits .*a/0\.png and .*b/0\.png, which differ"),
        ("a/0.png,P1\n", r"map\.csv: has no row for .*b/0\.png; complete it"),
        ("a/0.png,P1\na/0,P2\nb/0,P1\n", "line 3: puts an image into a second group"),
        (",P1\n", "line 2: names no image"),
    ],
)
def test_a_row_that_is_not_clear_is_an_error(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        by_image(tmp_path, rows, "a/0.png", "b/0.png")
