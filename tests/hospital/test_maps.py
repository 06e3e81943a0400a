"""Maps beside the report of a study: whose they are, what they show, and one clear error for what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from medmamba_monai.cli.main import main
from medmamba_monai.core.errors import UserError
from medmamba_monai.hospital import answer_study
from medmamba_monai.hospital.maps import MAPPED
from medmamba_monai.package import Package
from tests.helpers.studies import make_image, make_slices, make_volume_package, write_study


@pytest.fixture(scope="module")
def package(packed: Path) -> Package:
    return Package.open(packed)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), make_image(1), make_image(2))


def test_each_image_gets_a_picture_in_a_series_of_its_own_and_the_report_stays(package, study, tmp_path):
    without = answer_study(package, study, tmp_path / "without")
    with_maps = answer_study(package, study, tmp_path / "with", maps="grad_cam")
    assert [path.name for path in with_maps[: len(without)]] == [path.name for path in without]
    maps = [pydicom.dcmread(path) for path in with_maps[len(without) :]]
    assert [one.InstanceNumber for one in maps] == [1, 2]
    assert {(one.SeriesNumber, one.Modality, one.PatientID) for one in maps} == {(9803, "OT", "4711")}
    assert {one.SeriesDescription for one in maps} == {"Network's maps, research only"}
    assert len({one.SOPInstanceUID for one in maps}) == 2
    assert len({one.SeriesInstanceUID for one in maps} | {pydicom.dcmread(without[1]).SeriesInstanceUID}) == 2
    again = answer_study(package, study, tmp_path / "again", maps="grad_cam")
    assert [path.name for path in again] == [path.name for path in with_maps]
    other = answer_study(package, study, tmp_path / "other", maps="positive_relevance")
    assert not {path.name for path in other[len(without) :]} & {path.name for path in with_maps}


def test_the_picture_shows_the_image_in_gray_and_the_map_in_color(package, study, tmp_path):
    picture = pydicom.dcmread(answer_study(package, study, tmp_path / "answer", maps="positive_relevance")[-1])
    pixels = picture.pixel_array.astype(int)
    assert picture.PhotometricInterpretation == "RGB"
    colored = np.ptp(pixels, axis=-1) > 60
    left, right = colored[:, : pixels.shape[1] // 2], colored[:, pixels.shape[1] // 2 :]
    assert right.mean() > 0.01
    assert left.mean() < right.mean() / 10


def test_a_volume_is_shown_in_three_planes(package, tmp_path):
    folder = write_study(tmp_path / "study", *make_slices(4))
    written = answer_study(make_volume_package(package), folder, tmp_path / "answer", maps="positive_relevance")
    found = pydicom.dcmread(written[-1])
    assert found.SeriesNumber == 9803
    assert found.Columns > 2 * found.Rows


@pytest.mark.long
def test_of_many_images_the_clearest_get_a_map_which_is_logged(package, tmp_path, caplog):
    folder = write_study(tmp_path / "study", *(make_image(number) for number in range(1, MAPPED + 3)))
    written = answer_study(package, folder, tmp_path / "answer", maps="edges")
    assert sum(pydicom.dcmread(path).SeriesNumber == 9803 for path in written) == MAPPED
    assert f"maps are drawn of {MAPPED} of {MAPPED + 2} images" in caplog.text


def test_a_method_that_does_not_exist_is_named_and_nothing_is_written(package, study, tmp_path):
    with pytest.raises(UserError, match="--maps gradcam: does not exist; choose from scan_relevance, "):
        answer_study(package, study, tmp_path / "answer", maps="gradcam")
    assert not (tmp_path / "answer").exists()


def test_the_command_draws_maps_and_says_with_what_they_go(packed, study, tmp_path, capsys):
    arguments = ["infer", str(packed), str(study), "--device", "cpu", "--maps", "edges"]
    assert main([*arguments, "--dicom-out", str(tmp_path / "a")]) == 0
    assert len(list((tmp_path / "a").iterdir())) == 5
    assert main([*arguments, "--output", str(tmp_path / "b")]) == 2
    assert "--maps edges: goes with --dicom-out" in capsys.readouterr().err
