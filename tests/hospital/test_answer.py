"""The report and the pictures that answer a study: what stands in them, and that they fit the study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medmamba_monai.cards.parts import ClinicalCode, DicomFacts
from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital import answer_study
from medmamba_monai.hospital.capture import fill_pages
from medmamba_monai.hospital.codes import make_private_code
from medmamba_monai.hospital.judgement import find_thresholds, judge
from medmamba_monai.package import Package
from tests.helpers.studies import (
    change_package,
    make_frames,
    make_image,
    make_slices,
    make_volume_package,
    write_study,
)


@pytest.fixture(scope="module")
def package(packed: Path) -> Package:
    return Package.open(packed)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), make_image(1), make_image(2))


@pytest.fixture(scope="module")
def answered(package: Package, study: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return answer_study(package, study, tmp_path_factory.mktemp("answer"))


def read_report(paths: list[Path]) -> highdicom.sr.ComprehensiveSR:
    return highdicom.sr.srread(paths[0])


def list_groups(paths: list[Path]) -> list[Any]:
    return list(read_report(paths).content.get_image_measurement_groups())


def list_text(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if item.get("ValueType") == "TEXT" else []
    return [*own, *(text for inner in item.get("ContentSequence", []) for text in list_text(inner))]


def name_value(group: Any, value: str) -> float:
    (found,) = [one for one in group.get_measurements() if one.name.value == value]
    return float(found.value)


def test_the_report_holds_the_numbers_of_the_package(package, study, answered):
    expected = package.predict([study / "0.dcm", study / "1.dcm"])
    groups = list_groups(answered)
    assert len(groups) == 2
    for row, group in enumerate(groups):
        for label in range(2):
            share = 100 * expected.probabilities[row, label]
            assert name_value(group, f"probability-{label}") == pytest.approx(share, abs=0.006)
            share = 100 * expected.calibrated[row, label]
            assert name_value(group, f"calibrated-{label}") == pytest.approx(share, abs=0.006)
        assert name_value(group, "doubt") == pytest.approx(100 * expected.doubt[row], abs=0.006)
        assert name_value(group, "unlike") == pytest.approx(100 * expected.unlike[row], abs=0.006)
        named = [(one.name.value, one.value.meaning) for one in group.get_qualitative_evaluations()]
        assert ("predicted", expected.predicted_names[row]) in named
        members = [meaning for name, meaning in named if name == "prediction-set"]
        assert "; ".join(members) == expected.name_sets(0.9)[row]


def test_the_report_says_at_which_thresholds_and_what_it_is_for(package, study, answered):
    expected = package.predict([study / "0.dcm", study / "1.dcm"])
    thresholds = find_thresholds(package.manifest)
    assert set(thresholds) == {"highest Youden index", "specificity 95%"}
    for row, group in enumerate(list_groups(answered)):
        found = {one.name.meaning: one.value.meaning for one in group.get_qualitative_evaluations()}
        for rule, ((label, threshold),) in thresholds.items():
            positive = expected.probabilities[row, label] > threshold
            assert found[f"{package.manifest.class_names[label]}, {rule}"] == ("Positive" if positive else "Negative")
    texts = list_text(read_report(answered))
    assert sum("For research use only." in text for text in texts) == 3
    assert any("calibrated probability" in text for text in texts)


def test_the_report_says_why_an_answer_is_better_left_to_a_person(package, study, answered):
    reasons = package.predict([study / "0.dcm", study / "1.dcm"]).list_reasons()
    assert any(reasons)
    for found, group in zip(reasons, list_groups(answered), strict=True):
        (said,) = [text for text in list_text(group[0]) if "For research use only." in text]
        assert (f"Better left to a person: {'; '.join(found)}." in said) == bool(found)


def test_the_report_names_the_algorithm_and_the_package(package, packed, answered):
    texts = list_text(read_report(answered))
    assert f"{package.manifest.network.name} for {package.card.title}" in texts
    assert any(text.endswith(f"+{package.digest[:12]}") for text in texts)
    assert f"SHA-256 of package.json: {package.digest}" in texts
    device = read_report(answered).content.get_observer_contexts()[0]
    assert device.observer_identifying_attributes.name == "medmamba-monai"


def test_evidence_and_references_are_the_images_of_the_study(study, answered):
    images = [pydicom.dcmread(study / name) for name in ("0.dcm", "1.dcm")]
    expected = [(i.StudyInstanceUID, i.SeriesInstanceUID, i.SOPInstanceUID, i.SOPClassUID) for i in images]
    report = read_report(answered)
    assert sorted(report.get_evidence(current_procedure_only=True)) == sorted(expected)
    assert "PertinentOtherEvidenceSequence" not in report
    for image, group in zip(images, list_groups(answered), strict=True):
        (source,) = group.source_images
        assert source.referenced_sop_instance_uid == image.SOPInstanceUID


def test_all_objects_are_of_the_same_patient_and_study_in_series_of_their_own(study, answered):
    image = pydicom.dcmread(study / "0.dcm")
    made = [pydicom.dcmread(path) for path in answered]
    for one in made:
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
            assert one[keyword].value == image[keyword].value
        assert one.AccessionNumber == "A1"
    report, *pictures = made
    assert report.Modality == "SR"
    assert {picture.Modality for picture in pictures} == {"OT"}
    assert len({image.SeriesInstanceUID, *(one.SeriesInstanceUID for one in made)}) == 3
    assert len({one.SOPInstanceUID for one in made}) == len(made)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        *("COMPLETE", "UNVERIFIED", "PRELIMINARY"),
    )


def test_the_same_study_gets_the_same_uids_and_another_level_others(package, study, answered, tmp_path):
    again = answer_study(package, shutil.copytree(study, tmp_path / "copy"), tmp_path / "again")
    assert [path.name for path in again] == [path.name for path in answered]
    others = answer_study(package, study, tmp_path / "again", level=0.8)
    assert not {path.name for path in others} & {path.name for path in answered}


def test_an_answer_among_the_images_of_a_study_changes_nothing(package, study, answered, tmp_path):
    folder = shutil.copytree(study, tmp_path / "study")
    for path in answered:
        shutil.copy(path, folder)
    assert [path.name for path in answer_study(package, folder, tmp_path / "a")] == [path.name for path in answered]


def test_the_picture_shows_what_the_report_says_and_no_patient(package, study, answered):
    picture = pydicom.dcmread(answered[1])
    assert (picture.ConversionType, picture.BurnedInAnnotation) == ("WSD", "NO")
    pixels = picture.pixel_array
    assert pixels.shape == (768, 1024)
    assert 0.01 < (pixels > 128).mean() < 0.2
    assert not pixels[:, -8:].any(), "a line does not fit"


def test_texts_of_two_patients_are_drawn_alike(package, tmp_path):
    folders = [
        write_study(tmp_path / name, make_image(1, PatientName=name, PatientID=name))
        for name in ("Abel^Ann", "Zoe^Zed")
    ]
    drawn = [pydicom.dcmread(answer_study(package, f, f / "answer")[1]).pixel_array for f in folders]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "Doe^Jane"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "Müller^山田"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
@pytest.mark.parametrize("class_name", ["Nodule", "Rundherd, größer"])
def test_names_are_kept_in_their_character_set(package, tmp_path, charset, name, class_name):
    folder = write_study(tmp_path / "study", make_image(1, SpecificCharacterSet=charset, PatientName=name))
    classes = (package.card.classes[0], package.card.classes[1].model_copy(update={"display_name": class_name}))
    changed = change_package(package, {"classes": classes})
    for path in answer_study(changed, folder, tmp_path / "answer"):
        made = pydicom.dcmread(path)
        assert str(made.PatientName) == name
        if class_name.isascii() or made.Modality == "OT":
            assert made.get("SpecificCharacterSet") == charset
        else:
            assert made.SpecificCharacterSet == "ISO_IR 192"
            assert class_name in str(made)


def test_codes_of_the_card_are_used_and_else_private_ones(package, study, tmp_path):
    code = ClinicalCode(scheme="SCT", value="427359005", meaning="Solitary nodule of lung")
    about = ClinicalCode(scheme="SCT", value="51185008", meaning="Thorax")
    classes = (package.card.classes[0], package.card.classes[1].model_copy(update={"code": code}))
    changed = change_package(package, {"classes": classes, "dicom": DicomFacts(modality=("DX",), finding=about)})
    group = list_groups(answer_study(changed, study, tmp_path))[0]
    assert group.finding_type == highdicom.sr.CodedConcept("51185008", "SCT", "Thorax")
    modifiers = [one[0].ContentSequence[0].value for one in group.get_measurements()[:2]]
    assert [(one.scheme_designator, one.value) for one in modifiers] == [
        ("99MEDMAMBA", "class-0"),
        ("SCT", "427359005"),
    ]


def test_each_frame_of_a_file_is_an_image_where_the_card_says_so(package, tmp_path):
    folder = write_study(tmp_path / "study", make_frames(3))
    reading = package.card.reading.model_copy(update={"frame": "all"})
    changed = change_package(package, {"reading": reading}, {"frame": "all"})
    groups = list_groups(answer_study(changed, folder, tmp_path / "answer"))
    frames = [group.source_images[0].referenced_frame_numbers for group in groups]
    assert [list(map(int, found)) for found in frames] == [[1], [2], [3]]
    with pytest.raises(UserError, match=r"0\.dcm"):
        answer_study(package, folder, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_series_of_slices_gets_one_result(package, tmp_path):
    folder = write_study(tmp_path / "study", *make_slices(4))
    (group,) = list_groups(answer_study(make_volume_package(package), folder, tmp_path / "answer"))
    assert len(group.source_images) == 4


def test_a_series_without_one_of_its_slices_is_named_and_not_answered(package, tmp_path):
    slices = make_slices(4)
    slices[0].ImagePositionPatient = [0, 0, 99]
    with pytest.raises(UserError, match="a slice is missing or extra"):
        answer_study(make_volume_package(package), write_study(tmp_path / "s", *slices), tmp_path / "answer")
    assert not (tmp_path / "answer").exists()


def test_what_is_missing_in_the_images_is_empty_in_the_answer(package, tmp_path):
    image = make_image(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.6", PatientSex="unknown to all")
    for keyword in ("PatientBirthDate", "StudyID", "StudyTime", "AccessionNumber"):
        delattr(image, keyword)
    report = read_report(answer_study(package, write_study(tmp_path / "study", image), tmp_path / "answer"))
    assert report.PatientSex == "unknown to all"
    assert all(report[keyword].is_empty for keyword in ("PatientBirthDate", "StudyID", "StudyTime", "AccessionNumber"))


def test_a_multi_label_task_has_no_set(package):
    probabilities = {0: np.array([[0.9, 0.2], [0.1, 0.3]]), 1: np.array([[0.8, 0.1], [0.2, 0.4]])}
    found = package.predict([np.zeros((32, 32), np.uint8)])
    changed = type(found)(probabilities, found.class_names, "multi-label", found.temperatures, {})
    manifest = package.manifest.model_copy(update={"task": "multi-label", "figures": {"operating_points": None}})
    first, second = judge(changed, manifest, 0.9)
    assert (first.predicted, first.members, second.predicted) == ((0,), None, ())
    assert second.describe()[0] == "No class has a probability above 50 %."


def test_an_undecided_set_is_said(package):
    image = [np.zeros((32, 32), np.uint8)]
    both = judge(package.predict(image), package.manifest, 0.999)[0]
    assert len(both.members) == 2
    assert any(text.startswith("Undecided. Prediction set at 99.9 %: ") for text in both.describe())


def test_many_images_get_a_line_each(package, tmp_path):
    folder = write_study(tmp_path / "study", make_frames(25))
    changed = change_package(
        package, {"reading": package.card.reading.model_copy(update={"frame": "all"})}, {"frame": "all"}
    )
    report, *pictures = answer_study(changed, folder, tmp_path / "answer")
    assert len(pictures) <= 4  # in full, two fill a page
    assert len(list_groups([report])) == 25


@pytest.mark.parametrize(
    ("lengths", "pages"),
    [([3, 3], [7]), ([3, 6], [10]), ([3, 7], [3, 7]), ([9, 9, 1], [9, 9, 1]), ([12, 2], [10, 5]), ([], [])],
)
def test_a_page_holds_whole_blocks(lengths, pages):
    blocks = [[f"{number}"] * length for number, length in enumerate(lengths)]
    assert [len(page) for page in fill_pages(blocks, 10)] == pages


def test_a_code_fits_what_dicom_allows():
    code = make_private_code("probability-0", "Probability of " + "a" * 80 + "\\b")
    assert len(code.meaning) == 64
    assert make_private_code("class-0", "a\\b").meaning == "a/b"


def test_the_command_answers_a_study(packed, study, tmp_path, capsys):
    assert main(["infer", str(packed), str(study), "--dicom-out", str(tmp_path / "a"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"report: {tmp_path / 'a'}")
    assert len(list((tmp_path / "a").iterdir())) == 3
    for more, message in (
        (["--output", "x"], "--output-dir: does not go with --dicom-out; leave it out"),
        (["--batch-size", "3"], "--batch-size: does not go with --dicom-out; leave it out"),
        (["--level", "1.5"], "level"),
    ):
        assert main(["infer", str(packed), str(study), "--dicom-out", "b", "--device", "cpu", *more]) == 2
        assert message in capsys.readouterr().err


def test_a_name_in_another_character_set_than_it_says_comes_out_as_it_went_in(package, tmp_path):
    folder = write_study(tmp_path / "study", make_image(1, SpecificCharacterSet="ISO_IR 192", PatientName="Muller^Ida"))
    wrong, path = b"M\xfcller^Ida", folder / "0.dcm"
    path.write_bytes(path.read_bytes().replace(b"Muller^Ida", wrong))
    assert all(wrong in made.read_bytes() for made in answer_study(package, folder, tmp_path / "answer"))
