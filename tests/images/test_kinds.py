from __future__ import annotations

import gzip
import os
import shutil
import socket
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.locations import list_images
from medmamba_monai.images import ReadImage
from medmamba_monai.images.dicom.recognize import looks_like_dicom
from medmamba_monai.images.formats import READABLE_SUFFIXES, is_image_file
from medmamba_monai.images.kinds import count_frames
from medmamba_monai.images.read import describe_image
from tests.helpers.dicom_files import write

GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


@pytest.mark.parametrize("suffix", READABLE_SUFFIXES)
def test_suffixes_are_lower_case_and_known(tmp_path: Path, suffix: str) -> None:
    assert suffix == suffix.lower()
    (tmp_path / f"A{suffix.upper()}").touch()
    assert is_image_file(tmp_path / f"A{suffix.upper()}")


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.113619.2.5", "12"])
def test_dicom_needs_no_suffix(tmp_path: Path, name: str) -> None:
    assert is_image_file(write(tmp_path / name, GRAY))
    (tmp_path / name).write_bytes(b"text")
    assert not is_image_file(tmp_path / name)


@pytest.mark.parametrize("name", ["a.dcm", "a.png", "IM000001"])
def test_dicom_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    assert looks_like_dicom(write(tmp_path / name, GRAY))
    assert not looks_like_dicom(tmp_path)
    assert not looks_like_dicom(tmp_path / "missing.dcm")
    assert not looks_like_dicom(write(tmp_path / "DICOMDIR", GRAY))
    (tmp_path / name).write_bytes(b"text")
    assert not looks_like_dicom(tmp_path / name)


@pytest.mark.parametrize("name", ["labels.csv", "DICOMDIR", "notes.txt", "archive.tar.gz", "a.img", "folder.png"])
def test_other_files_are_no_images(tmp_path: Path, name: str) -> None:
    if name == "folder.png":
        (tmp_path / name).mkdir()
    elif name == "DICOMDIR":
        write(tmp_path / name, GRAY)
    else:
        (tmp_path / name).write_bytes(gzip.compress(bytes(999)) if name.endswith("gz") else b"BMI,age\n" * 99)
    assert not is_image_file(tmp_path / name)
    assert not is_image_file(tmp_path / "missing.png")


@pytest.mark.parametrize(
    "name", ["MR.1.2.840.113", "I0001.img", "image.001", "IM-0001.dc3", "scan.acr", "labels.csv", "a.b.c"]
)
def test_what_a_file_is_says_its_content_and_not_its_name(tmp_path: Path, name: str) -> None:
    assert is_image_file(write(tmp_path / name, GRAY))
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / name), GRAY[None])


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [("a.jfif", "JPEG", True), ("a.001", "PNG", True), ("a", "TIFF", True), ("a.cr2", "TIFF", False)],
)
def test_pictures_of_other_names_but_not_the_thumbnails_of_cameras(
    tmp_path: Path, name: str, kind: str, found: bool
) -> None:
    Image.fromarray(GRAY).save(tmp_path / name, kind)
    assert is_image_file(tmp_path / name) == found


def test_half_of_a_folder_is_not_left_out_for_its_names(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / (f"MR.1.2.840.{index}" if index % 2 else f"{index}.dcm"), GRAY)
    listing = DatasetFolder(tmp_path).list_images()
    assert [image.text for image in listing.images] == ["0.dcm", "2.dcm", "MR.1.2.840.1", "MR.1.2.840.3"]
    assert listing.others == ()


def test_a_folder_without_images_says_what_is_there_and_what_is_read(tmp_path: Path) -> None:
    for name, content in (("a.h5", b"\x89HDF\r\n"), ("b.h5", b"\x89HDF\r\n"), ("c.txt", b"text")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(
        UserError, match=r"holds no image; there are 2 \.h5 \(an HDF5 file .*\), 1 \.txt; readable are \.png"
    ):
        list_images(tmp_path)


def test_headers_and_their_values_are_one_image(tmp_path: Path) -> None:
    itk = Path(__file__).parent / "written_by_itk"
    for name in ("turned.mhd", "turned.raw", "packed.nhdr", "packed.raw.gz"):
        shutil.copy(itk / name, tmp_path / name)
    listing = DatasetFolder(tmp_path).list_images(None, 3)
    assert [image.files for image in listing.images] == [("packed.nhdr", "packed.raw.gz"), ("turned.mhd", "turned.raw")]
    assert listing.others == ()


def test_values_in_a_folder_below_belong_to_their_header(tmp_path: Path) -> None:
    itk = Path(__file__).parent / "written_by_itk"
    (tmp_path / "values").mkdir()
    shutil.copy(itk / "turned.raw", tmp_path / "values" / "a.raw")
    (tmp_path / "a.mhd").write_text((itk / "turned.mhd").read_text().replace("turned.raw", "values/a.raw"))
    listing = DatasetFolder(tmp_path).list_images(None, 3)
    assert [image.files for image in listing.images] == [("a.mhd", "values/a.raw")]
    assert listing.others == ()


@pytest.mark.parametrize("end", ["", ".gz"])
def test_pairs_of_nifti_are_one_image(tmp_path: Path, end: str) -> None:
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Pair(values, np.eye(4)), tmp_path / f"a.img{end}")
    listing = DatasetFolder(tmp_path).list_images(None, 3)
    assert [image.files for image in listing.images] == [(f"a.hdr{end}", f"a.img{end}")]
    assert listing.others == ()
    read = ReadImage(1, 3, dtype="float32", intensity_range=(0, 255))
    np.testing.assert_array_equal(read(tmp_path / f"a.hdr{end}")[0], values)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.nii.gz", "a.npz#images[0]"])
def test_pipes_and_sockets_are_refused_and_never_waited_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = tmp_path / name.partition("#")[0]
    os.mkfifo(path)
    with pytest.raises(UserError, match="is a named pipe, not a file"):
        ReadImage(channels=1)(tmp_path / name)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
        with pytest.raises(UserError, match="is a socket, not a file"):
            ReadImage(channels=1)(tmp_path / name)


@pytest.mark.parametrize(("name", "what"), [("/dev/zero", "a device"), ("/tmp", "a folder"), ("/dev/null", "a device")])
def test_devices_and_folders_are_no_images(name: str, what: str) -> None:
    with pytest.raises(UserError, match=f"{name}: is {what}, not a file"):
        ReadImage(channels=1)(name)
    assert not is_image_file(name)


@pytest.mark.parametrize("suffix", [".jpg", ".dcm", ".nii.gz", ""])
def test_content_decides_and_not_the_suffix(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GRAY).save(tmp_path / f"a{suffix}", "PNG")
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / f"a{suffix}"), GRAY[None])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\3\4", "is a zip archive; unpack it"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"NRRD0004", "NRRD"),
        (b"ObjectType = Image", "MetaImage"),
        (b"RIFF\0\0\0\0WAVE", "is damaged or no PNG"),
        (b"", "is empty"),
    ],
)
def test_other_content_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(channels=1)(tmp_path / "a.png")
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")


def test_picture_is_no_volume(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="is a flat picture; volumes are read from"):
        ReadImage(channels=1, spatial_dims=3)(tmp_path / "a.png")


def test_single_files_and_folders_have_one_frame(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    nibabel.save(nibabel.Nifti1Image(GRAY, np.eye(4)), tmp_path / "a.nii")
    write(tmp_path / "a.dcm", GRAY)
    assert [count_frames(tmp_path / name) for name in ("a.png", "a.nii", "a.dcm", "")] == [1, 1, 1, 1]


def test_the_format_and_the_window_are_told_apart_from_the_words(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    nibabel.save(nibabel.Nifti1Image(GRAY[..., None], np.eye(4)), tmp_path / "a.nii")
    np.savez(tmp_path / "a.npz", images=GRAY[None])
    write(tmp_path / "a.dcm", GRAY)
    write(tmp_path / "b.dcm", GRAY, WindowCenter=40, WindowWidth=400)
    names = ("a.png", "a.nii", "a.npz#images[0]", "a.dcm", "b.dcm")
    facts = [describe_image(tmp_path / name) for name in names]
    assert [fact.format for fact in facts] == ["picture", "NIfTI", "npz", "DICOM", "DICOM"]
    assert [fact.has_own_window for fact in facts] == [False, False, False, False, True]
