from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import prepare_dataset, read_fold_list
from tests.helpers.prepared_folders import draw_classes, report
from tests.helpers.small_data import folder_card, small_card, write_npz

COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "unit": "years", "missing": ["?"]},
    {"name": "sex", "kind": "category"},
]


def records(**changes: Any) -> dict[str, Any]:
    return {"columns": COLUMNS, "path": "clinic.csv", "image_column": "file", **changes}


def write_clinic(folder: Path, **cells: tuple[str, str]) -> Path:
    """Twenty images of class folders with a line each; the keys are images such as ``cat_3``."""
    rows = [[f"{name}/{index}.png", str(30 + index), "FM"[index % 2]] for name in ("cat", "dog") for index in range(10)]
    for row in rows:
        row[1:] = cells.get(row[0][:-4].replace("/", "_"), row[1:])
    with (folder / "clinic.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["file", "age", "sex"], *rows])
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("images"))


def test_records_are_kept_with_the_folds_and_what_is_missing_stays_missing(images: Path, tmp_path: Path) -> None:
    bare = prepare_dataset(folder_card(), images, tmp_path / "bare.json", num_folds=2)
    write_clinic(images, cat_0=("?", "F"), cat_1=("41.5", "NA"), cat_2=("32", "f"))
    made = prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)
    found = {item.image: item.record for item in made.training}
    assert found["cat/0.png"] == (None, "F")
    assert found["cat/1.png"] == (41.5, None)
    assert found["cat/2.png"] == (32.0, "F")
    assert found["dog/3.png"] == (33.0, "M")
    assert made.records is not None
    assert made.records[1].categories == ("F", "M")
    assert made.digest == bare.digest, "records change the folds of runs that never saw them"
    read = read_fold_list(tmp_path / "folds.json", images)
    assert (read.training, read.records_digest) == (made.training, made.records_digest)
    assert report(tmp_path)["records"]["age"]["missing"] == 1
    assert report(tmp_path)["records"]["sex"]["categories"] == {"F": 10, "M": 9}
    assert not report(tmp_path)["ignored_files"]


def test_records_that_come_later_are_added_to_the_same_folds(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clinic(images)
    bare = prepare_dataset(folder_card(), images, tmp_path / "folds.json", num_folds=2)
    prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)
    assert "the clinical records differ" in capsys.readouterr().out
    read = read_fold_list(tmp_path / "folds.json", images)
    assert read.digest == bare.digest
    assert read.records_digest is not None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("old", "F"), r"clinic\.csv, line 4: age is 'old', the card says that it is a number; correct the table"),
        (("1_0", "F"), "age is '1_0'"),
        (("inf", "F"), "age is 'inf'"),
    ],
)
def test_a_text_in_a_number_column_names_line_and_value(
    images: Path, tmp_path: Path, cell: tuple[str, str], message: str
) -> None:
    write_clinic(images, cat_2=cell)
    with pytest.raises(UserError, match=message):
        prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)


def test_a_category_that_the_card_does_not_list_is_an_error(images: Path, tmp_path: Path) -> None:
    write_clinic(images, cat_2=("32", "X"))
    listed = [COLUMNS[0], COLUMNS[1] | {"categories": ["F", "M"]}]
    with pytest.raises(UserError, match="line 4: sex is 'X', the card lists 'F', 'M'"):
        prepare_dataset(folder_card(records=records(columns=listed)), images, tmp_path / "f.json", num_folds=2)


def test_a_missing_column_or_table_is_named(images: Path, tmp_path: Path) -> None:
    write_clinic(images)
    other = records(columns=[{"name": "weight", "kind": "number"}])
    with pytest.raises(UserError, match=r"clinic\.csv: has no column 'weight'; it has 'file', 'age', 'sex'"):
        prepare_dataset(folder_card(records=other), images, tmp_path / "folds.json", num_folds=2)
    with pytest.raises(UserError, match=r"has no nowhere\.csv, the table of the card's records"):
        prepare_dataset(folder_card(records=records(path="nowhere.csv")), images, tmp_path / "f.json", num_folds=2)


def test_images_without_a_line_have_no_values_and_that_is_said(images: Path, tmp_path: Path) -> None:
    write_clinic(images)
    lines = (images / "clinic.csv").read_text().splitlines()
    (images / "clinic.csv").write_text("\n".join(lines[:-2]))
    made = prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)
    assert {item.image: item.record for item in made.training}["dog/9.png"] == (None, None)
    assert "2 of 20 images have no line in clinic.csv: their records are missing" in report(tmp_path)["remarks"]


def test_two_lines_that_differ_are_an_error(images: Path, tmp_path: Path) -> None:
    write_clinic(images)
    with (images / "clinic.csv").open("a") as stream:
        stream.write("cat/0.png,99,F\n")
    with pytest.raises(UserError, match="line 22: says another thing of an image than line 2"):
        prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)


def test_a_category_of_one_fold_alone_is_told(images: Path, tmp_path: Path) -> None:
    write_clinic(images, cat_0=("30", "other"))
    prepare_dataset(folder_card(records=records()), images, tmp_path / "folds.json", num_folds=2)
    assert report(tmp_path)["record_categories_only_in_test"] == {"sex": ["other"]}


def test_images_of_an_npz_file_are_named_by_split_and_index(tmp_path: Path) -> None:
    write_npz(tmp_path)
    lines = [f"{split},{i},{i % 3},{'ab'[i % 2]}" for split in ("train", "val", "test") for i in range(8)]
    (tmp_path / "clinic.csv").write_text("\n".join(["split,index,age,sex", *lines, "test,99,0,a"]))
    by_place = {"image_column": None, "split_column": "split", "index_column": "index"}
    made = prepare_dataset(small_card(records=records(**by_place)), tmp_path, tmp_path / "folds.json", num_folds=2)
    assert {item.id: item.record for item in made.test}["test-00005"] == (2.0, "b")
    assert sum(item.record == (None, None) for item in made.training) == 14


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None, "image_column": None}, "the layout 'folders' has no table of labels"),
        ({"image_column": None}, "a path goes with image_column"),
        ({"columns": [*COLUMNS, COLUMNS[0]]}, "each is named once"),
        ({"columns": [{"name": "age", "kind": "number", "categories": ["old"]}]}, "a number has no categories"),
        ({"columns": [{"name": "sex", "kind": "category", "unit": "m"}]}, "a category has no unit"),
    ],
)
def test_records_that_do_not_fit_the_card_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folder_card(records=records(**changes))


def test_the_label_itself_is_no_record() -> None:
    layout = {"kind": "table", "path": "t.csv", "image_column": "file", "label_column": "sex"}
    with pytest.raises(ValueError, match="'sex' is the image, label, group or split of the layout, no record"):
        folder_card(layout=layout, records={"columns": COLUMNS})


@pytest.mark.parametrize("leak", ["values", "missing"])
def test_a_column_that_gives_the_label_away_is_told(tmp_path: Path, leak: str) -> None:
    data = draw_classes(tmp_path / "data", count=30)
    rows = [f"{name}/{index}.png,{index % 7},F" for name in ("cat", "dog") for index in range(30)]
    told = {"values": (",1", ",0"), "missing": (",", ",1")}[leak]
    lines = [f"{row}{told[row.startswith('cat')]}" for row in rows]
    (data / "clinic.csv").write_text("\n".join(["file,age,sex,biopsy", *lines]))
    columns = [*COLUMNS, {"name": "biopsy", "kind": "category"}]
    prepare_dataset(folder_card(records=records(columns=columns)), data, tmp_path / "folds.json", num_folds=2)
    found = report(tmp_path)["record_warnings"]
    start = {
        "values": "the record biopsy alone tells class Dog: AUC 1.00",
        "missing": "whether the record biopsy is missing tells class Dog: AUC 1.00",
    }[leak]
    assert any(warning.startswith(start) for warning in found)
    assert all("biopsy" in warning for warning in found)
