from __future__ import annotations

from pathlib import Path

import pytest
from small_images import draw, write_dicom

from medmamba_monai.errors import UserError
from medmamba_monai.images.dicom_tags import group_by_tag, read_tag


def test_a_tag_is_read_without_blanks(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", 1, patient=" 0815 ")
    assert (read_tag(path, "PatientID"), group_by_tag(path, "PatientID")) == ("0815", "0815")
    assert read_tag(path, "StudyID") == ""


def test_a_file_without_the_tag_has_no_group(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", 1, patient="")
    with pytest.raises(UserError, match=r"a\.dcm: has no PatientID, by which the card groups images"):
        group_by_tag(path, "PatientID")


def test_another_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png: is no DICOM file, so it has no PatientID"):
        read_tag(draw(tmp_path / "a.png", 1), "PatientID")
    with pytest.raises(UserError, match=r"none\.dcm: cannot be read"):
        read_tag(tmp_path / "none.dcm", "PatientID")
