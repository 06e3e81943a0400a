"""Which files of a study are judged, and one clear error for each thing that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from medmamba_monai.cards import DatasetCard, load_card
from medmamba_monai.cards.parts import DicomFacts
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital.study import MANUFACTURER, find_study
from tests.helpers.small_bundle import ROOT
from tests.helpers.studies import make_frames, make_image, make_report_object, make_slices, write_study

CARD = load_card(ROOT / "data_lists" / "phantom" / "card.json")


def change_card(modality: tuple[str, ...] = (), **changes: Any) -> DatasetCard:
    return CARD.model_copy(update={"dicom": DicomFacts(modality=modality), **changes})


def read_frames(frame: int | str) -> DatasetCard:
    return change_card(reading=CARD.reading.model_copy(update={"frame": frame}))


def list_sources(folder: Path, card: DatasetCard = CARD) -> list[str]:
    return [Path(str(image.source)).name for image in find_study(folder, card).images]


def test_images_come_in_the_order_of_their_numbers_from_all_folders(tmp_path):
    write_study(tmp_path / "a", make_image(3), make_image(1))
    write_study(tmp_path / "b", make_image(2))
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / ".hidden").mkdir()
    write_study(tmp_path / ".hidden", make_image(4))
    found = find_study(tmp_path, CARD)
    assert [image.files[0].header.InstanceNumber for image in found.images] == [1, 2, 3]


@pytest.mark.parametrize(
    "other",
    [
        make_report_object(),
        make_image(7, Modality="SEG"),
        make_image(7, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", Manufacturer=MANUFACTURER),
        make_image(1),
    ],
    ids=["a report", "a segmentation", "an answer of ours", "the same image again"],
)
def test_what_is_no_image_of_its_own_is_left_out(tmp_path, other):
    assert list_sources(write_study(tmp_path, make_image(1), other)) == ["0.dcm"]


def test_images_of_the_declared_modality_are_chosen(tmp_path):
    folder = write_study(tmp_path, make_image(1, Modality="CR"), make_image(2), make_image(3, Modality="OT"))
    assert list_sources(folder, change_card(("CR", "DX"))) == ["0.dcm", "1.dcm"]


def test_the_card_says_which_frames_are_images(tmp_path):
    folder = write_study(tmp_path, make_frames(3))
    assert [image.frame for image in find_study(folder, read_frames("all")).images] == [1, 2, 3]
    assert [(image.frame, str(image.source)) for image in find_study(folder, read_frames(1)).images] == [
        (2, str(folder / "0.dcm"))
    ]


def test_a_volume_is_one_image_of_all_files_of_its_series(tmp_path):
    folder = write_study(tmp_path, *make_slices(3), make_report_object())
    (volume,) = find_study(folder, change_card(spatial_dims=3)).images
    assert [file.header.InstanceNumber for file in volume.files] == [1, 2, 3]
    assert volume.source == tuple(file.path for file in volume.files)


def without(keyword: str) -> Any:
    made = make_image(2)
    delattr(made, keyword)
    return made


@pytest.mark.parametrize(
    ("images", "card", "said"),
    [
        ([make_image(Modality="MR")], change_card(("CR", "DX")), "0.dcm: is MR, but the network is for CR and DX"),
        (
            [make_image(1), make_image(2, Modality="MR")],
            CARD,
            "1.dcm: is MR and {folder}/0.dcm DX, and the card does not say which is meant",
        ),
        ([make_report_object()], CARD, "0.dcm: is no image but Basic Text SR Storage"),
        ([make_report_object()], change_card(spatial_dims=3), "0.dcm: is no image but Basic Text SR Storage"),
        ([make_image(1), make_image(2, PatientID="4712")], CARD, "1.dcm: is of another patient than {folder}/0.dcm"),
        (
            [make_image(1), make_image(2, StudyInstanceUID="1.2")],
            CARD,
            "1.dcm: is of another study than {folder}/0.dcm",
        ),
        ([make_image(1), make_report_object(StudyInstanceUID="1.2")], CARD, "1.dcm: is of another study"),
        (
            [*make_slices(2), make_image(9, Modality="CT", SeriesInstanceUID="1.2")],
            change_card(spatial_dims=3),
            "2.dcm: is of another series than {folder}/",
        ),
        ([make_image(1), without("SeriesInstanceUID")], CARD, "1.dcm: has no SeriesInstanceUID"),
        ([make_image(1), without("StudyInstanceUID")], CARD, "1.dcm: has no StudyInstanceUID"),
    ],
)
def test_a_study_that_cannot_be_answered_is_one_error_that_names_the_file(tmp_path, images, card, said):
    folder = write_study(tmp_path / "study", *images)
    with pytest.raises(UserError) as caught:
        find_study(folder, card)
    message = str(caught.value)
    assert message.startswith(f"{folder}/{said.format(folder=folder)}")
    assert not any(word in message for word in ("Doe", "4711", "4712"))


def test_a_pdf_in_place_of_an_image_is_named(tmp_path):
    made = make_report_object()
    made.SOPClassUID, made.Modality, made.EncapsulatedDocument = EncapsulatedPDFStorage, "DOC", b"%PDF"
    with pytest.raises(UserError, match=r"0\.dcm: is no image but Encapsulated PDF Storage; give the images"):
        find_study(write_study(tmp_path, made), CARD)


def test_a_folder_without_dicom_files_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        find_study(tmp_path / "none", CARD)
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(UserError, match="holds no DICOM file; give the folder of one study"):
        find_study(tmp_path, CARD)


def test_a_file_that_is_cut_off_is_named(tmp_path):
    folder = write_study(tmp_path, make_image(1), make_image(2))
    path = folder / "1.dcm"
    path.write_bytes(path.read_bytes()[:420])
    with pytest.raises(UserError, match=r"1\.dcm: "):
        find_study(folder, CARD)
