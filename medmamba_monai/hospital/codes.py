"""Coded concepts of a report: the card's where it gives some, else of a private scheme."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from medmamba_monai.cards import DatasetCard
from medmamba_monai.cards.parts import ClinicalCode

PRIVATE_SCHEME = "99MEDMAMBA"
"""DICOM reserves designators that begin with 99 for those who make up codes."""

COMMENT = CodedConcept("121106", "DCM", "Comment")
FINDING = CodedConcept("121071", "DCM", "Finding")
IMAGING_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging procedure")
PERCENT = CodedConcept("%", "UCUM", "Percent")
POSITIVE = CodedConcept("10828004", "SCT", "Positive")
NEGATIVE = CodedConcept("260385009", "SCT", "Negative")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")

_LONGEST_MEANING = 64


def make_private_code(value: str, meaning: str) -> CodedConcept:
    """Return a code of the private scheme; a meaning is cut where DICOM allows no more, and has no backslash."""
    return CodedConcept(value, PRIVATE_SCHEME, meaning.replace("\\", "/")[:_LONGEST_MEANING].strip())


def find_class_code(card: DatasetCard, label: int) -> CodedConcept:
    """Return the code of a class."""
    chosen = card.classes[label]
    return _take(chosen.code) if chosen.code else make_private_code(f"class-{label}", chosen.display_name)


def find_finding_code(card: DatasetCard) -> CodedConcept:
    """Return the code of what the classes are about."""
    return _take(card.dicom.finding) if card.dicom.finding else make_private_code("finding", card.title)


def describe_private_scheme() -> CodingSchemeIdentificationItem:
    """Return what tells others that the scheme is private."""
    return CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="Codes of medmamba-monai", version="1", responsible_organization="medmamba-monai"
    )


def _take(code: ClinicalCode) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)
