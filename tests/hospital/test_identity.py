"""What an answer takes over of its study, whatever stands there."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medmamba_monai.hospital.identity import copy_study
from medmamba_monai.hospital.study import Study, StudyFile, StudyImage
from tests.helpers.dicom_files import item

_LETTERS = st.characters(exclude_categories=("C", "Z"), exclude_characters="\\^=")
NAMES = st.text(_LETTERS, min_size=1, max_size=16)


def read_again(made: Dataset, syntax: str) -> Dataset:
    """The dataset as it comes out of a file."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue()), force=True)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("text", ["plain", "größer"])
@given(family=NAMES, given_name=NAMES, number=NAMES, other=NAMES)
def test_whatever_a_patient_is_called_comes_out_again(syntax, text, family, given_name, number, other):
    header = item(
        SpecificCharacterSet="ISO_IR 192",
        PatientName=f"{family}^{given_name}",
        PatientID=number,
        OtherPatientIDsSequence=[item(PatientID=other, IssuerOfPatientID=family)],
        StudyInstanceUID="1.2.3",
    )
    read = read_again(header, syntax)
    study = Study((StudyImage("a", (StudyFile(Path("a"), read, 1, (1, 1, "1.2")),)),))
    made = Dataset()
    copy_study(made, study, [text])
    found = read_again(made, ExplicitVRLittleEndian)
    assert str(found.PatientName) == f"{family}^{given_name}"
    assert found.PatientID == number
    assert found.OtherPatientIDsSequence[0].PatientID == other
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert found["StudyDate"].is_empty
