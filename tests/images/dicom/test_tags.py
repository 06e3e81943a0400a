from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.tags import read_group, read_tag
from tests.helpers.dicom_files import dataset, longer, write
from tests.helpers.small_images import draw, write_dicom


def test_a_tag_is_read_without_blanks(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", 1, patient=" 0815 ")
    assert (read_tag(path, "PatientID"), read_group(path, "PatientID")) == ("0815", "0815")
    assert read_tag(path, "StudyID") == ""


def test_a_file_without_the_tag_has_no_group(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", 1, patient="")
    with pytest.raises(UserError, match=r"a\.dcm: has no PatientID, by which the card groups images"):
        read_group(path, "PatientID")


def test_another_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png: is no DICOM file, so it has no PatientID"):
        read_tag(draw(tmp_path / "a.png", 1), "PatientID")
    with pytest.raises(UserError, match=r"none\.dcm: does not exist"):
        read_tag(tmp_path / "none.dcm", "PatientID")


def test_a_file_without_a_preamble_is_read(tmp_path: Path) -> None:
    made = dataset(np.zeros((2, 2), np.uint8), ImplicitVRLittleEndian, PatientID="0815")
    del made.file_meta
    pydicom.dcmwrite(tmp_path / "a", made, implicit_vr=True, little_endian=True)
    assert read_tag(tmp_path / "a", "PatientID") == "0815"


def test_a_deflated_file_is_read_within_bounds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((2, 2), np.uint8), DeflatedExplicitVRLittleEndian, PatientID="0815")
    assert read_tag(path, "PatientID") == "0815"
    longer(path, 2**25)
    with pytest.raises(UserError, match="which its header does not tell"):
        read_tag(path, "PatientID")
