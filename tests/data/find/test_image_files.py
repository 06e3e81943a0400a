from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.image_files import list_image_files
from tests.helpers.small_images import draw, write_dicom


def texts(folder: Path, **options: object) -> list[str]:
    return [image.text for image in list_image_files(folder, folder, **options).images]


def test_images_and_others_are_told_apart(tmp_path: Path) -> None:
    draw(tmp_path / "b" / "1.PNG", 1)
    draw(tmp_path / "a.jpg", 2)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "b" / "._1.png").write_text("")
    draw(tmp_path / ".cache" / "x.png", 3)
    listing = list_image_files(tmp_path, tmp_path)
    assert [image.text for image in listing.images] == ["a.jpg", "b/1.PNG"]
    assert listing.others == (".cache/x.png", "b/._1.png", "notes.txt")


def test_a_dicom_file_needs_no_suffix(tmp_path: Path) -> None:
    write_dicom(tmp_path / "IM000001", 1)
    (tmp_path / "README").write_text("no image")
    assert texts(tmp_path) == ["IM000001"]


def test_slices_in_a_folder_are_images_in_2d_and_one_volume_in_3d(tmp_path: Path) -> None:
    for place in range(3):
        write_dicom(tmp_path / "scan" / f"{place}.dcm", place, position=place)
    assert texts(tmp_path) == [f"scan/{place}.dcm" for place in range(3)]
    volumes = list_image_files(tmp_path, tmp_path, spatial_dims=3).images
    assert [(image.text, len(image.files)) for image in volumes] == [("scan", 3)]


def test_another_image_among_the_slices_is_an_error(tmp_path: Path) -> None:
    for place in range(3):
        write_dicom(tmp_path / "scan" / f"{place}.dcm", place, position=place)
    draw(tmp_path / "scan" / "preview.png", 1)
    with pytest.raises(UserError, match=r"preview\.png: lies among 3 DICOM slices"):
        texts(tmp_path, spatial_dims=3)


def test_frames_become_images_when_asked(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.new("L", (4, 4), value) for value in (10, 20, 30)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    draw(tmp_path / "b.png", 1)
    assert texts(tmp_path) == ["a.tif", "b.png"]
    assert texts(tmp_path, every_frame=True) == ["a.tif#frame[0]", "a.tif#frame[1]", "a.tif#frame[2]", "b.png"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "1.png", 1)
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert texts(tmp_path) == ["a/1.png"]


@pytest.mark.parametrize("every_frame", [False, True])
def test_a_nifti_pair_is_made_of_two_files(tmp_path: Path, every_frame: bool) -> None:
    image = nibabel.Nifti1Pair(np.zeros((4, 4, 2, 2), np.uint8), np.eye(4))
    nibabel.save(image, tmp_path / "a.img")
    listing = list_image_files(tmp_path, tmp_path, every_frame=every_frame)
    assert {image.files for image in listing.images} == {("a.hdr", "a.img")}
    assert {image.source for image in listing.images} == {"a.hdr"}
    assert len(listing.images) == 1 + every_frame
    assert listing.others == ()
