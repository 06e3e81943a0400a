"""Answers to studies, judged by others: DCMTK, dicom3tools and an archive."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from medmamba_monai.hospital import answer_study
from medmamba_monai.package import Package
from tests.helpers.orthanc import Orthanc, start_orthanc
from tests.helpers.studies import (
    STUDY,
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
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"}
    return write_study(tmp_path_factory.mktemp("images"), make_image(1, **names), make_image(2, **names))


@pytest.fixture(scope="module")
def answers(package: Package, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Answers to flat images, to the frames of a file, to a volume, and with names beyond ASCII."""
    folder = tmp_path_factory.mktemp("answers")
    reading = package.card.reading.model_copy(update={"frame": "all"})
    umlauts = (package.card.classes[0], package.card.classes[1].model_copy(update={"display_name": "Rundherd, größer"}))
    made = {
        "images": (package, images),
        "umlauts": (change_package(package, {"classes": umlauts}), images),
        "frames": (
            change_package(package, {"reading": reading}, {"frame": "all"}),
            write_study(folder / "f", make_frames(3)),
        ),
        "volume": (make_volume_package(package), write_study(folder / "v", *make_slices(4))),
    }
    return {
        name: answer_study(judge, study, folder / f"{name} answered", maps="edges")
        for name, (judge, study) in made.items()
    }


def run_tool(name: str, *arguments: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install dcmtk dicom3tools)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=60)
    return done.stdout + done.stderr


@pytest.mark.dicom_tools
@pytest.mark.parametrize("name", ["images", "umlauts", "frames", "volume"])
def test_dciodvfy_finds_no_error(answers, name):
    for path in answers[name]:
        said = run_tool("dciodvfy", str(path)).splitlines()
        kind = "ComprehensiveSR" if path == answers[name][0] else "SCImage"
        assert kind in said, said
        assert [line for line in said if line.startswith("Error")] == []


@pytest.mark.dicom_tools
def test_dciodvfy_would_find_an_error(answers, tmp_path):
    broken = pydicom.dcmread(answers["images"][0])
    del broken.CompletionFlag
    broken.save_as(tmp_path / "broken.dcm")
    assert "Error" in run_tool("dciodvfy", str(tmp_path / "broken.dcm"))


@pytest.mark.dicom_tools
@pytest.mark.parametrize("name", ["images", "umlauts", "frames", "volume"])
def test_dsrdump_reads_the_report(answers, name):
    said = run_tool("dsrdump", "+U8", "+Pl", str(answers[name][0]))
    assert "Comprehensive SR Document" in said
    assert "For research use only." in said
    assert 'has concept mod TEXT:(,,"Algorithm Name")' in said
    assert 'contains NUM:(,,"Calibrated probability of' in said
    assert not any(line.startswith(("E:", "F:")) for line in said.splitlines())
    assert ("Rundherd, größer" in said) == (name == "umlauts")
    assert ("Müller^Jürgen" in said) == (name in ("images", "umlauts"))


@pytest.fixture(scope="module")
def archive(images, answers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive that was sent a study and then its answer."""
    with start_orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        started.store(sorted(images.iterdir()))
        started.store(answers["images"])
        yield started


@pytest.mark.orthanc
def test_an_archive_shows_the_answer_in_its_study(archive):
    (study,) = archive.find("Study", StudyInstanceUID=STUDY)
    series = {one["MainDicomTags"]["Modality"]: one for one in archive.find("Series", StudyInstanceUID=STUDY)}
    assert set(series) == {"DX", "SR", "OT"}
    assert {one["ParentStudy"] for one in series.values()} == {study["ID"]}
    assert study["PatientMainDicomTags"]["PatientName"] == "Müller^Jürgen"
    (report,) = series["SR"]["Instances"]
    (evidence,) = archive.ask(f"/instances/{report}/simplified-tags")["CurrentRequestedProcedureEvidenceSequence"]
    (referenced,) = evidence["ReferencedSeriesSequence"]
    uids = [one["ReferencedSOPInstanceUID"] for one in referenced["ReferencedSOPSequence"]]
    assert len(uids) == 2
    assert all(len(archive.find("Instance", SOPInstanceUID=uid)) == 1 for uid in uids)


@pytest.mark.orthanc
@pytest.mark.dicom_tools
def test_a_study_that_is_answered_again_has_no_more_objects(archive, package, images, answers, tmp_path):
    again = answer_study(package, images, tmp_path / "again")
    sent = run_tool("dcmsend", "-v", "-aec", "ORTHANC", "127.0.0.1", str(archive.dicom), *map(str, again))
    assert f"with status SUCCESS  : {len(again)}" in sent
    assert archive.ask("/statistics")["CountInstances"] == 2 + len(answers["images"])


@pytest.mark.orthanc
def test_an_archive_shows_the_picture(archive, answers):
    (picture,) = archive.find("Instance", SOPInstanceUID=answers["images"][1].stem)
    drawn = np.asarray(Image.open(io.BytesIO(archive.fetch(f"/instances/{picture['ID']}/preview"))).convert("L"))
    np.testing.assert_array_equal(drawn > 128, pydicom.dcmread(answers["images"][1]).pixel_array > 128)
