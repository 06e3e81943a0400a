"""The answer as a DICOM Structured Report: a measurement report (TID 1500) with a group for each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr.utils import collect_evidence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage, generate_uid

from medmamba_monai import __version__
from medmamba_monai.hospital.codes import (
    COMMENT,
    FINDING,
    IMAGING_PROCEDURE,
    NEGATIVE,
    PERCENT,
    POSITIVE,
    QUALITATIVE_EVALUATIONS,
    describe_private_scheme,
    find_class_code,
    find_finding_code,
    make_private_code,
)
from medmamba_monai.hospital.identity import Answer, copy_study, make_reference
from medmamba_monai.hospital.judgement import RESEARCH_ONLY, Judgement, format_level
from medmamba_monai.hospital.study import MANUFACTURER, StudyImage

SERIES_NUMBER = 9801
"""Above those that scanners give."""


def make_report(answer: Answer, judgements: Sequence[Judgement]) -> Dataset:
    """Return the report of a study.

    Args:
        answer: what is answered and by what.
        judgements: of each image of the study.
    """
    groups = [
        _make_group(answer, number, image, judgement)
        for number, (image, judgement) in enumerate(zip(answer.study.images, judgements, strict=True), 1)
    ]
    content = MeasurementReport(_describe_observer(answer), IMAGING_PROCEDURE, groups)
    content[0].ContentSequence.append(_make_remarks(answer))
    evidence = [file.header for image in answer.study.images for file in image.files]
    reference = make_reference(answer.study, ComprehensiveSRStorage)  # the library knows no retired kind of image
    made = ComprehensiveSR(
        evidence=[reference, *evidence],
        content=content[0],
        series_instance_uid=answer.make_uid("report series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=answer.make_uid("report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=answer.package.manifest.network.name,
        software_versions=__version__,
        series_description="Network's report, research only",
        coding_schemes=[describe_private_scheme()],
        specific_character_set=None,
        is_complete=True,
    )
    study = answer.study.header.StudyInstanceUID
    made.CurrentRequestedProcedureEvidenceSequence, _ = collect_evidence(evidence, content[0], study)
    copy_study(made, answer.study, answer.texts)
    return made


def _describe_observer(answer: Answer) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[answer.package.digest]),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=answer.package.manifest.network.name,
        serial_number=answer.package.digest[:16],
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _identify_algorithm(answer: Answer) -> AlgorithmIdentification:
    manifest = answer.package.manifest
    folds = ", ".join(str(member.fold) for member in manifest.members)
    parameters = [f"SHA-256 of package.json: {answer.package.digest}", f"folds: {folds}"]
    if manifest.members[0].conformal:
        parameters.append(f"level of prediction sets: {answer.level:g}")
    return AlgorithmIdentification(answer.algorithm, answer.version, parameters, manufacturer=MANUFACTURER)


def _make_group(
    answer: Answer, number: int, image: StudyImage, judgement: Judgement
) -> MeasurementsAndQualitativeEvaluations:
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(answer.make_uid("image", number), f"Image {number}"),
        finding_type=find_finding_code(answer.package.card),
        algorithm_id=_identify_algorithm(answer),
        measurements=list(_measure(answer, judgement)),
        qualitative_evaluations=list(_evaluate(answer, judgement)),
        source_images=[
            SourceImageForMeasurementGroup(
                str(file.header.SOPClassUID), str(file.header.SOPInstanceUID), [image.frame] if image.frame else None
            )
            for file in image.files
        ],
    )
    group[0].ContentSequence.append(_write(" ".join([*judgement.describe(), RESEARCH_ONLY])))
    return group


def _measure(answer: Answer, judgement: Judgement) -> Iterator[Measurement]:
    for kind, title, values in (
        ("probability", "Probability", judgement.probabilities),
        ("calibrated", "Calibrated probability", judgement.calibrated),
    ):
        for label, (name, value) in enumerate(zip(judgement.class_names, values, strict=True)):
            made = _measure_share(f"{kind}-{label}", f"{title} of {name}", value)
            about = CodeContentItem(
                FINDING, find_class_code(answer.package.card, label), RelationshipTypeValues.HAS_CONCEPT_MOD
            )
            content = made[0].get("ContentSequence") or ContentSequence()
            content.append(about)
            made[0].ContentSequence = content
            yield made
    yield _measure_share("doubt", "Probability that the prediction is wrong", judgement.doubt)
    if judgement.unlike is not None:
        yield _measure_share("unlike", "Validation images less unlike the training images", judgement.unlike)


def _measure_share(value: str, meaning: str, share: float) -> Measurement:
    """Return a probability in percent, to two places, as DICOM's decimal strings are short."""
    return Measurement(make_private_code(value, meaning), round(share * 100, 2), PERCENT)


def _evaluate(answer: Answer, judgement: Judgement) -> Iterator[QualitativeEvaluation]:
    def list_codes(labels: Sequence[int]) -> list[CodedConcept]:
        found = [find_class_code(answer.package.card, label) for label in labels]
        return found or [make_private_code("no-class", "No class")]

    for code in list_codes(judgement.predicted):
        yield QualitativeEvaluation(make_private_code("predicted", "Predicted class"), code)
    if judgement.members is not None:
        level = make_private_code("prediction-set", f"In the prediction set at {format_level(judgement.level)}")
        for code in list_codes(judgement.members):
            yield QualitativeEvaluation(level, code)
    for place, decision in enumerate(judgement.decisions):
        name = f"{judgement.class_names[decision.label]}, {decision.rule}"
        code = make_private_code(f"decision-{place}", name)
        yield QualitativeEvaluation(code, POSITIVE if decision.positive else NEGATIVE)


def _make_remarks(answer: Answer) -> ContainerContentItem:
    made = ContainerContentItem(QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    made.ContentSequence = ContentSequence([_write(f"{RESEARCH_ONLY} {answer.package.card.intended_use}")])
    return made


def _write(text: str) -> TextContentItem:
    return TextContentItem(COMMENT, text, RelationshipTypeValues.CONTAINS)
