from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.propose.labels import Labels
from tests.helpers.class_folders import draw_classes, proposed
from tests.helpers.small_images import draw, write_dicom, write_table


def test_a_set_that_would_be_darker_for_its_depth_is_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(tmp_path / "benign" / "deep.png")
    with pytest.raises(UserError, match=r"files can hold different ranges \(0 to 255: 6, 0 to 65535: 1 files\)"):
        proposed(tmp_path)


def test_pictures_among_scans_are_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    write_dicom(tmp_path / "benign" / "x.dcm", 1)
    with pytest.raises(UserError, match=r"holds picture \(.*\) and DICOM \(.*\), whose values have different units"):
        proposed(tmp_path)


def test_a_patient_that_some_files_do_not_name_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(4):
            write_dicom(tmp_path / name / f"{index}.dcm", index, patient="" if index == 3 else f"P{index}")
    with pytest.raises(UserError, match=r"3\.dcm: has no PatientID, as have 1 others of 8; .*--group-tag none"):
        proposed(tmp_path)
    assert proposed(tmp_path, group_tag="none").card.layout.group_tag is None


def test_a_localizer_among_volumes_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for scan in range(2):
            for place in range(3):
                path = tmp_path / name / f"scan{scan}" / f"{place}.dcm"
                write_dicom(path, place, series=f"1.2.{scan + 1}{ord(name)}", position=place)
    write_dicom(tmp_path / "a" / "localizer" / "0.dcm", 9)
    with pytest.raises(UserError, match=r"localizer/0\.dcm: is the only slice in its folder, as are 0 others"):
        proposed(tmp_path)
    assert proposed(tmp_path, spatial_dims=2).card.spatial_dims == 2


@pytest.mark.parametrize("value", ["nan", "N/A", ""])
def test_a_missing_label_is_no_class(tmp_path: Path, value: str) -> None:
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", f"file,kind\n0.png,a\n1.png,b\n2.png,{value}\n")
    with pytest.raises(UserError, match=f"line 4: kind is '{value}', which is no class"):
        proposed(tmp_path, Labels(table=table, image_column="file", label_column=("kind",)))


@pytest.mark.parametrize("pattern", ["(", "abc"])
def test_a_pattern_without_a_group_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UserError, match=r"group_pattern: (is no regular|must have exactly one pair)"):
        proposed(draw_classes(tmp_path), Labels(group_pattern=pattern))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reading": {"background": 300}}, "background"),
        ({"reading": {"window": [40, -1]}}, "the width must be above 0"),
        ({"reading": {"intensity_range": [float("nan"), 1]}}, "intensity_range"),
        ({"image_size": 0}, "image_size"),
        ({"title": "$1"}, "must not begin with"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        proposed(draw_classes(tmp_path), **options)


def test_class_folders_that_would_run_as_code_are_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path, ("$__import__('os')", "b"))
    with pytest.raises(UserError, match=r"classes\.0\.name: must not begin with \$"):
        proposed(tmp_path)


def test_labels_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    for index in range(2):
        draw(tmp_path / f"{index}.png", index)
    table = write_table(tmp_path / "labels.csv", "file,kind\n0.png,Yes\n1.png,yes\n")
    with pytest.raises(UserError, match="names and aliases must differ"):
        proposed(tmp_path, Labels(table=table, image_column="file", label_column=("kind",)))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "it needs one folder of images for each class, or"),
        ({"group_column": "patient"}, r"--group_column: names a column, so pass the table too"),
        ({"table": Path("none.csv")}, r"--table none\.csv: there is no such file"),
    ],
)
def test_labels_that_are_not_there(tmp_path: Path, labels: dict[str, Any], said: str) -> None:
    draw(tmp_path / "1.png", 1)
    with pytest.raises(UserError, match=said):
        proposed(tmp_path, Labels(**labels))


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no image that can be read"):
        proposed(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        proposed(tmp_path / "none")
