from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.found import FoundData
from medmamba_monai.data.find.layouts import find_data
from medmamba_monai.data.find.table_layout import find_table
from tests.helpers.small_data import small_card
from tests.helpers.small_images import draw, write_dicom, write_table

LAYOUT = {"kind": "table", "path": "labels.csv", "image_column": "file", "label_column": "kind"}


def found(folder: Path, layout: dict[str, Any] | None = None, **changes: Any) -> FoundData:
    fields = {"layout": {**LAYOUT, **(layout or {})}, "files": [], "expected_counts": {}}
    card = small_card(**fields | changes)
    return find_table(card, card.layout, DatasetFolder(folder))


def four(folder: Path, text: str = "file,kind\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n") -> Path:
    for seed, name in enumerate("abcd"):
        draw(folder / "imgs" / "part_1" / f"{name}.png", seed)
    write_table(folder / "labels.csv", text)
    return folder


def test_images_are_found_by_name_at_any_depth(tmp_path: Path) -> None:
    data = found(four(tmp_path))
    assert [(sample.image, sample.label) for sample in data.samples][:2] == [
        ("imgs/part_1/a.png", 0),
        ("imgs/part_1/b.png", 1),
    ]
    assert data.files[-1] == "labels.csv"


def test_paths_in_the_table_choose_among_equal_names(tmp_path: Path) -> None:
    draw(tmp_path / "x" / "1.png", 1)
    draw(tmp_path / "y" / "1.png", 2)
    write_table(tmp_path / "labels.csv", "file,kind\nx/1.png,cat\ny\\1.png,dog\n")
    assert [sample.label for sample in found(tmp_path).samples] == [0, 1]


def test_one_name_for_two_images_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path / "x" / "1.png", 1)
    draw(tmp_path / "y" / "1.png", 2)
    write_table(tmp_path / "labels.csv", "file,kind\n1.png,cat\n")
    with pytest.raises(UserError, match=r"line 2: fits .*x/1\.png and .*y/1\.png, which differ"):
        found(tmp_path)


def test_an_image_that_was_unpacked_twice_counts_once(tmp_path: Path) -> None:
    draw(four(tmp_path) / "copy" / "a.png", 0)
    data = found(tmp_path)
    assert len(data.samples) == 4
    assert data.ignored == ()


def test_an_unlabelled_image_of_the_same_name_is_not_hidden(tmp_path: Path) -> None:
    draw(four(tmp_path) / "other" / "a.png", 99)
    text = "file,kind\npart_1/a.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n"
    write_table(tmp_path / "labels.csv", text)
    assert found(tmp_path).ignored == ("other/a.png",)


def test_paths_relative_to_the_table_and_absolute_ones(tmp_path: Path) -> None:
    draw(tmp_path / "i" / "1.png", 1)
    draw(tmp_path / "j" / "1.png", 2)
    write_table(tmp_path / "t" / "labels.csv", f"file,kind\n../i/1.png,cat\n{tmp_path}/j/1.png,dog\n")
    assert [(s.image, s.label) for s in found(tmp_path).samples] == [("i/1.png", 0), ("j/1.png", 1)]


def test_names_that_differ_in_case_alone(tmp_path: Path) -> None:
    draw(tmp_path / "A.png", 1)
    draw(tmp_path / "a.png", 2)
    write_table(tmp_path / "labels.csv", "file,kind\nA.png,cat\na.png,dog\n")
    assert [(s.image, s.label) for s in found(tmp_path).samples] == [("A.png", 0), ("a.png", 1)]


def test_suffix_split_group_and_blanks(tmp_path: Path) -> None:
    rows = "a;Cat ;1 ;P1\nb;dog;0;P2\nc;CAT;1;P1\nd;dog;1;P3\n"
    four(tmp_path, "file;kind;Train ;patient\n" + rows)
    columns = {"split_column": "Train ", "split_values": {"1": "train", "0": "test"}, "group_column": "patient"}
    data = found(tmp_path, {"separator": ";", "image_suffix": ".png", **columns})
    assert [(s.id, s.split, s.group) for s in data.samples] == [
        ("test-00000", "test", "P2"),
        ("train-00000", "train", "P1"),
        ("train-00001", "train", "P1"),
        ("train-00002", "train", "P3"),
    ]


def test_aliases_count_as_their_class(tmp_path: Path) -> None:
    four(tmp_path, "file,kind\na.png,kitten\nb.png,dog\n")
    classes = [{"name": "cat", "display_name": "C", "aliases": ["Kitten"]}, {"name": "dog", "display_name": "D"}]
    data = found(tmp_path, classes=classes)
    assert [sample.label for sample in data.samples] == [0, 1]
    assert data.ignored == ("imgs/part_1/c.png", "imgs/part_1/d.png")


def test_rows_that_the_card_skips_are_counted(tmp_path: Path) -> None:
    four(tmp_path, "file,kind\na.png,cat\nb.png,dog\nc.png,unsure\n")
    data = found(tmp_path, {"skip_labels": ["unsure"]})
    assert len(data.samples) == 2
    assert data.remarks == ("1 rows of the table are left out: 'unsure'",)


CLASSES = [{"name": name, "display_name": name} for name in ("mass", "nodule", "edema")]


def test_several_labels_in_one_cell(tmp_path: Path) -> None:
    four(tmp_path, "file,kind\na.png,Nodule|Mass\nb.png,No Finding\nc.png,edema\n")
    layout = {"label_separator": "|", "no_label": ["No Finding"]}
    data = found(tmp_path, layout, task="multi-label", classes=CLASSES)
    assert [sample.label for sample in data.samples] == [(1, 1, 0), (0, 0, 0), (0, 0, 1)]


def test_a_column_for_each_label(tmp_path: Path) -> None:
    four(tmp_path, "file,m,n,e\na.png,1,0,1\nb.png,0,0,0\n")
    layout = {"label_column": None, "label_columns": ["m", "n", "e"]}
    data = found(tmp_path, layout, task="multi-label", classes=CLASSES)
    assert [sample.label for sample in data.samples] == [(1, 0, 1), (0, 0, 0)]


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ("file,kind\na.png,bird\n", {}, r"line 2: 'bird' is no class of the card, which has 'cat', 'dog'"),
        ("file,kind\na.png,\n", {}, r"line 2: '' is no class"),
        ("file,kind\n,cat\n", {}, r"line 2: names no image"),
        ("file,kind\na.png,cat\nz.png,dog\n", {}, r"1 of 2 images of the table are not below .*: 'z\.png'"),
        ("file,kind\na.png,cat\na.png,dog\n", {}, r"line 3: 'a\.png' is in .*line 2 with other values"),
        ("file,kind\n../a.png,cat\n", {}, r"1 of 1 images of the table are not below"),
        ("file,kind\n/else/part_1/a.png,cat\n", {}, r"1 of 1 images of the table are not below"),
        ("file,label\na.png,cat\n", {}, r"has no column 'kind'; it has 'file', 'label'"),
        ("file,kind,p\na.png,cat,\n", {"group_column": "p"}, "line 2: has no p"),
        ("file,kind,s\na.png,cat,2\n", {"split_column": "s", "split_values": {"1": "train"}}, "s is '2'"),
    ],
)
def test_wrong_row_is_an_error_that_names_the_line(tmp_path: Path, text: str, layout: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        found(four(tmp_path, text), layout)


def test_groups_by_patient_tag(tmp_path: Path) -> None:
    for index in range(4):
        write_dicom(tmp_path / f"{index}.dcm", index, patient=f"Doe{index // 2}")
    write_table(tmp_path / "labels.csv", "file,kind\n0.dcm,cat\n1.dcm,dog\n2.dcm,cat\n3.dcm,dog\n")
    assert [sample.group for sample in found(tmp_path, {"group_tag": "PatientID"}).samples] == ["Doe0"] * 2 + [
        "Doe1"
    ] * 2


def test_each_row_finds_its_own_file_whatever_its_suffix(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b.jpg", "c.tif", "a.mask.png", "b.mask.png")):
        draw(tmp_path / name, seed)
    write_table(tmp_path / "labels.csv", "file,kind\na,cat\nb,dog\nc,cat\n")
    data = found(tmp_path)
    assert [sample.image for sample in data.samples] == ["a.png", "b.jpg", "c.tif"]
    assert data.ignored == ("a.mask.png", "b.mask.png")


@pytest.mark.parametrize("nobody", ["nan", "NA", "", "unknown", "None"])
def test_a_patient_that_nobody_is_is_an_error(tmp_path: Path, nobody: str) -> None:
    text = f"file,kind,who\na.png,cat,p1\nb.png,dog,{nobody}\nc.png,cat,p2\nd.png,dog,p3\n"
    with pytest.raises(UserError, match=f"line 3: has no who .'{nobody}'.; complete it"):
        found(four(tmp_path, text), {"group_column": "who"})


def test_a_patient_that_is_spelled_in_two_ways_is_one(tmp_path: Path) -> None:
    text = "file,kind,who\na.png,cat,3\nb.png,dog,3.0\nc.png,cat,P-1\nd.png,dog,p 1\n"
    card = small_card(layout={**LAYOUT, "group_column": "who"}, files=[], expected_counts={})
    data = find_data(card, DatasetFolder(four(tmp_path, text)), fetch=False)
    assert [sample.group for sample in data.samples] == ["3", "3", "P-1", "P-1"]
    assert data.remarks[0].startswith("4 spellings of patients or other groups are taken for 2")


ONE_HOT = {"label_column": None, "label_columns": ["is_cat", "is_dog"]}


def test_a_one_hot_table_has_one_class_for_each_row(tmp_path: Path) -> None:
    text = "file,is_cat,is_dog\na.png,1,0\nb.png,0,1.0\nc.png,1,0\nd.png,{},1\n"
    assert [s.label for s in found(four(tmp_path, text.format(0)), ONE_HOT).samples] == [0, 1, 0, 1]
    with pytest.raises(UserError, match=r"line 5: has the classes 'is_cat', 'is_dog', the card says that there is one"):
        found(four(tmp_path, text.format(1)), ONE_HOT)


def test_uncertain_labels_are_what_the_card_says_and_are_counted(tmp_path: Path) -> None:
    text = "file,is_cat,is_dog\na.png,1,\nb.png,-1.0,1\nc.png,,-1\nd.png,0,u\n"
    declared = {**ONE_HOT, "label_values": {"": 0, "-1": 1}, "skip_labels": ["u"]}
    data = found(four(tmp_path, text), declared, task="multi-label")
    assert [sample.label for sample in data.samples] == [(1, 0), (1, 1), (0, 1)]
    assert data.remarks == (
        "1 rows of the table are left out: 'u'",
        "4 cells of the label columns are taken as the card says: '' is 0 (2), '-1' is 1 (2)",
    )


def test_rows_without_a_label_are_counted_by_what_they_say(tmp_path: Path) -> None:
    text = "file,kind\na.png,cat\nb.png,dog\nc.png,NA\nd.png,\n"
    data = found(four(tmp_path, text), {"skip_labels": ["", "NA"]})
    assert len(data.samples) == 2
    assert data.remarks == ("2 rows of the table are left out: '' (1), 'NA' (1)",)
