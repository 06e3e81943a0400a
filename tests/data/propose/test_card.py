from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.propose.labels import Labels
from tests.helpers.class_folders import draw_classes, proposed
from tests.helpers.small_images import draw, write_dicom, write_table


def test_a_folder_per_class(tmp_path: Path) -> None:
    card = proposed(draw_classes(tmp_path)).card
    assert (card.task, card.channels, card.spatial_dims, card.image_size) == ("binary", 1, 2, 224)
    assert card.class_names == ("benign", "malignant")
    assert card.expected_counts["all"].classes == {"benign": 3, "malignant": 3}
    assert card.reading.arguments() == {}


def test_color_and_more_classes(tmp_path: Path) -> None:
    card = proposed(draw_classes(tmp_path, ("a", "b", "c"), "RGB")).card
    assert (card.task, card.channels) == ("multi-class", 3)


def test_the_order_of_classes_is_what_the_user_says(tmp_path: Path) -> None:
    draw_classes(tmp_path, ("mild", "normal", "severe"))
    card = proposed(tmp_path, ordinal=True, classes=["normal", "mild", "severe"]).card
    assert (card.task, card.class_names) == ("ordinal", ("normal", "mild", "severe"))
    with pytest.raises(UserError, match="--ordinal: say the order of 'mild', 'normal', 'severe' with --classes"):
        proposed(tmp_path, ordinal=True)
    with pytest.raises(UserError, match="--classes: names 'normal', 'mild', the images have"):
        proposed(tmp_path, classes=["normal", "mild"])


def test_folders_of_splits_are_never_classes(tmp_path: Path) -> None:
    for name in ("train_set", "test_set"):
        draw_classes(tmp_path / name)
    assert proposed(tmp_path).card.layout.split_folders == {"train": "train_set", "test": "test_set"}
    draw(tmp_path / "unlabelled" / "x.png", 1)
    with pytest.raises(UserError, match="some of which name an official split; keep one folder for each"):
        proposed(tmp_path)


@pytest.mark.parametrize("ordinal", [False, True])
def test_numbers_are_ordered_by_their_value(tmp_path: Path, ordinal: bool) -> None:
    draw_classes(tmp_path, ("10", "2", "-1"))
    assert proposed(tmp_path, ordinal=ordinal).card.class_names == ("-1", "2", "10")


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    assert proposed(draw_classes(tmp_path, ("control", "test"))).card.class_names == ("control", "test")


def test_pictures_of_one_series_uid_are_no_volume(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(3):
            write_dicom(tmp_path / name / "patient" / f"{index}.dcm", index, series="1.2.3")
    assert proposed(tmp_path).card.spatial_dims == 2


def test_a_wrapped_folder_is_suggested(tmp_path: Path) -> None:
    draw_classes(tmp_path / "Chest data")
    with pytest.raises(UserError, match=r"Did you mean --images .*/Chest data\?"):
        proposed(tmp_path)


def test_pictures_of_different_bit_depths_keep_their_own_range(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "benign" / "deep.png")
    proposal = proposed(tmp_path)
    assert proposal.card.reading.arguments() == {}
    assert any("each is scaled by the full range of its own type" in remark for remark in proposal.remarks)


def test_no_finding_is_no_label_when_said(tmp_path: Path) -> None:
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", "file,found\n0.png,a|b\n1.png,No Finding\n2.png,b\n")
    labels = Labels(table, "file", ("found",), label_separator="|", no_label=("No Finding",))
    assert proposed(tmp_path, labels).card.class_names == ("a", "b")


def test_tables_in_other_encodings(tmp_path: Path) -> None:
    for index in range(2):
        draw(tmp_path / f"{index}.png", index)
    table = tmp_path / "labels.csv"
    table.write_bytes("file,kind\n0.png,gutartig\n1.png,bösartig\n".encode("latin-1"))
    labels = {"table": table, "image_column": "file", "label_column": ("kind",)}
    assert proposed(tmp_path, Labels(**labels, encoding="latin-1")).card.class_names == ("bösartig", "gutartig")
    table.write_bytes("\ufefffile,kind\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="is not text in utf-8-sig; pass --encoding"):
        proposed(tmp_path, Labels(**labels))
    table.write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="is an Excel file; save it as CSV"):
        proposed(tmp_path, Labels(**labels))


def test_the_separator_that_excel_writes_first_is_taken(tmp_path: Path) -> None:
    for index in range(2):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", "sep=;\nfile;kind, as read\n0.png;a\n1.png;b\n")
    layout = proposed(tmp_path, Labels(table, "file", ("kind, as read",))).card.layout
    assert layout.separator == ";"


def test_split_folders_are_an_official_split(tmp_path: Path) -> None:
    draw_classes(tmp_path / "Train")
    draw_classes(tmp_path / "test")
    proposal = proposed(tmp_path)
    assert proposal.card.official_test
    assert {sample.split for sample in proposal.found.samples} == {"train", "test"}


def test_a_table_beside_the_images(tmp_path: Path) -> None:
    for index in range(4):
        draw(tmp_path / "images" / f"im{index}.png", index)
    rows = "im0;p1;train;2\nim1;p1;train;10\nim2;p2;val;2\nim3;p3;test;10\n"
    table = write_table(tmp_path / "labels.csv", "name;patient;set;grade\n" + rows)
    columns = {"image_column": "name", "label_column": ("grade",), "group_column": "patient", "split_column": "set"}
    proposal = proposed(tmp_path / "images", Labels(table=table, **columns))
    layout = proposal.card.layout
    assert (layout.path, layout.image_folder, layout.image_suffix, layout.separator) == (
        "labels.csv",
        "images",
        ".png",
        ";",
    )
    assert proposal.card.class_names == ("2", "10")
    assert proposal.dataset_dir == tmp_path
    assert sorted(sample.group for sample in proposal.found.samples) == ["p1", "p1", "p2", "p3"]


def test_several_labels(tmp_path: Path) -> None:
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", "file,found\n0.png,a|b\n1.png,\n2.png,b\n")
    labels = Labels(table=table, image_column="file", label_column=("found",), label_separator="|")
    proposal = proposed(tmp_path, labels)
    assert proposal.card.task == "multi-label"
    assert [sample.label for sample in proposal.found.samples] == [(1, 1), (0, 0), (0, 1)]


def test_dicom_tells_patients_modality_and_range(tmp_path: Path) -> None:
    for label, name in enumerate(("sick", "well")):
        for index in range(3):
            write_dicom(tmp_path / name / f"{index}.dcm", 10 * label + index, patient=f"Doe^{index}")
    proposal = proposed(tmp_path)
    assert (proposal.card.modality, proposal.card.layout.group_tag) == ("CT", "PatientID")
    assert {sample.group for sample in proposal.found.samples} == {"Doe^0", "Doe^1", "Doe^2"}
    assert "Doe" not in proposal.card.model_dump_json() + " ".join(proposal.remarks)


def test_volumes_are_seen(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for index in range(2):
            values = np.random.default_rng(10 * label + index).normal(size=(6, 5, 4)).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / name / f"{index}.nii.gz")
    card = proposed(tmp_path).card
    assert (card.spatial_dims, card.image_size) == (3, 64)
    low, high = card.reading.intensity_range
    assert low < -2 < 2 < high
    assert card.reading.clip


def test_series_folders_are_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for scan in range(2):
            for place in range(3):
                path = tmp_path / name / f"scan{scan}" / f"{place}.dcm"
                write_dicom(path, place, series=f"1.2.{scan + 1}{len(name)}", position=place)
    assert proposed(tmp_path).card.spatial_dims == 3


def test_twelve_bits_in_sixteen_get_a_range(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        values = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
        Image.fromarray(values).save(tmp_path / name / "x.png")
    assert proposed(tmp_path).card.reading.intensity_range == (0, 4095)
    given = proposed(tmp_path, reading={"intensity_range": [0, 2000], "clip": True}).card
    assert given.reading.intensity_range == (0, 2000)


def test_images_of_every_class_are_opened(tmp_path: Path) -> None:
    for name, top in (("a", 100), ("b", 1000)):
        (tmp_path / name).mkdir()
        for index in range(150):
            Image.fromarray(np.array([[0, top + index]], np.uint16)).save(tmp_path / name / f"{index:03d}.png")
    assert proposed(tmp_path).card.reading.intensity_range == (0, 1149)


def test_windows_in_some_files_only_get_one_range(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        for index in range(3):
            window = {"WindowCenter": 40, "WindowWidth": 400} if name == "a" else {}
            write_dicom(tmp_path / name / f"1.2.{label}.{index}", 10 * label + index, patient=f"P{index}", **window)
    proposal = proposed(tmp_path)
    assert proposal.card.reading.clip
    assert proposal.card.layout.group_tag == "PatientID"
    assert any("3 of 6 images have a DICOM window of their own" in remark for remark in proposal.remarks)


def test_a_given_window_takes_the_place_of_a_range(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        for index in range(3):
            write_dicom(tmp_path / name / f"{index}.dcm", 10 * label + index)
    assert proposed(tmp_path, reading={"window": [40, 400]}).card.reading.arguments() == {"window": [40, 400]}


def test_masks_beside_their_images_and_thumbnails_of_a_drive_are_told_apart(tmp_path: Path) -> None:
    for index, name in enumerate(("benign", "malignant")):
        for number in range(3):
            draw(tmp_path / name / f"{name} ({number}).png", 10 * index + number)
            draw(tmp_path / name / "@eaDir" / f"{number}.png" / "SYNOPHOTO_THUMB_M.jpg", 50)
        draw(tmp_path / name / f"{name} (1)_mask.png", 90 + index)
    proposal = proposed(tmp_path)
    assert len(proposal.found.samples) == 8
    assert any(remark.startswith("2 of 8 images look by their names like masks") for remark in proposal.remarks)
    assert "such as 'benign/benign (1)_mask.png' beside 'benign/benign (1).png'" in proposal.remarks
    assert not any("(1)" in remark for remark in proposal.found.remarks)
