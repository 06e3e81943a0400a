"""Who answers, under which UIDs, and what an answer takes over from its study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import generate_uid

from medmamba_monai import __version__
from medmamba_monai.hospital.study import Study
from medmamba_monai.package import Package

UTF_8 = "ISO_IR 192"

_COPIED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID"),
    *("PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence", "OtherPatientNames"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "ResponsiblePerson", "ResponsiblePersonRole"),
    *("PatientAge", "PatientSize", "PatientWeight", "AdmissionID"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    *("IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "TimezoneOffsetFromUTC"),
)
"""Attributes of patient and study that an answer has, too."""
_NEVER_MISSING = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Those that must be there, if need be without a value."""


@dataclass(frozen=True)
class Answer:
    """What all objects of one answer share.

    UIDs follow from the images judged, the package, the level and the version of this software, so that a study that is
    answered again gets no second report in the archive: the same answer has the same UIDs, another answer has others.

    Attributes:
        study: what is answered.
        package: what judges.
        level: of the prediction sets.
    """

    study: Study
    package: Package
    level: float

    def make_uid(self, *parts: object) -> str:
        """Return the UID of a part of the answer, the same each time."""
        images = [f"{image.files[0].header.SOPInstanceUID} {image.frame}" for image in self.study.images]
        shared = [str(self.study.header.StudyInstanceUID), *images, self.package.digest, f"{self.level!r}", __version__]
        return str(generate_uid(entropy_srcs=[*shared, *map(str, parts)]))

    @property
    def algorithm(self) -> str:
        """Name of what judges."""
        return f"{self.package.manifest.network.name} for {self.package.card.title}"

    @property
    def version(self) -> str:
        """Version of what judges: that of the software that wrote the package, and the package's own."""
        return f"{self.package.manifest.versions.get('medmamba-monai', 'unknown')}+{self.package.digest[:12]}"

    @property
    def texts(self) -> list[str]:
        """What people wrote into the card and stands in a report."""
        card = self.package.card
        codes = [code.meaning for code in (card.dicom.finding, *(one.code for one in card.classes)) if code]
        return [card.title, card.intended_use, *card.display_names, *codes]


def make_reference(study: Study, sop_class: str) -> Dataset:
    """Return a header with the identifiers of a study that libraries ask for, without values that they could refuse."""
    made = Dataset()
    made.SOPClassUID = sop_class
    made.StudyInstanceUID = study.header.StudyInstanceUID
    made.SeriesInstanceUID, made.SOPInstanceUID = study.header.SeriesInstanceUID, study.header.SOPInstanceUID
    for keyword in _NEVER_MISSING:
        setattr(made, keyword, None)
    return made


def copy_study(made: Dataset, study: Study, texts: Sequence[str]) -> None:
    """Put patient and study of the images into an answer, as they are, in their character set.

    Args:
        made: the answer.
        study: what is answered.
        texts: what else stands in it. Where that is more than ASCII the answer is written in UTF-8.
    """
    header, kept = study.header, all(text.isascii() for text in texts)
    for keyword in _COPIED:
        if keyword in header:
            tag = Tag(keyword)
            made[tag] = _take_bytes(header, tag) if kept else header[tag]
        elif keyword in _NEVER_MISSING:
            setattr(made, keyword, None)
    if not kept:
        made.SpecificCharacterSet = UTF_8
        return
    if given := header.get("SpecificCharacterSet"):
        made.SpecificCharacterSet = given
    made.set_original_encoding(False, True, header.original_character_set)  # else bytes are decoded for writing


def _take_bytes(header: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """Return an element as it was read: names in another character set than they claim come out as they went in."""
    found = header.get_item(tag)
    if not isinstance(found, RawDataElement) or found.value is None or dictionary_VR(tag) == "SQ":
        return header[tag]
    return found._replace(VR=dictionary_VR(tag), is_implicit_VR=False)
