from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from tests.helpers.small_images import draw, write_dicom
from tests.helpers.small_images import write_table as written


def texts(folder: Path, **options: object) -> list[str]:
    return [image.text for image in DatasetFolder(folder).list_images(**options).images]


def test_images_and_others_are_told_apart(tmp_path: Path) -> None:
    draw(tmp_path / "b" / "1.PNG", 1)
    draw(tmp_path / "a.jpg", 2)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "b" / "._1.png").write_text("")
    draw(tmp_path / ".cache" / "x.png", 3)
    listing = DatasetFolder(tmp_path).list_images()
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
    volumes = DatasetFolder(tmp_path).list_images(spatial_dims=3).images
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
    listing = DatasetFolder(tmp_path).list_images(every_frame=every_frame)
    assert {image.files for image in listing.images} == {("a.hdr", "a.img")}
    assert {image.source for image in listing.images} == {"a.hdr"}
    assert len(listing.images) == 1 + every_frame
    assert listing.others == ()


def test_a_file_is_found_at_any_depth_whatever_its_case(tmp_path: Path) -> None:
    path = written(tmp_path / "a/b/Metadata.CSV", "x")
    written(tmp_path / "a/.hidden/metadata.csv", "y")
    assert DatasetFolder(tmp_path).find_named("metadata.csv") == path
    assert DatasetFolder(tmp_path).find_named("other.csv") is None


def test_copies_of_a_file_count_as_one_and_others_do_not(tmp_path: Path) -> None:
    written(tmp_path / "a/m.csv", "x")
    written(tmp_path / "b/m.csv", "x")
    assert DatasetFolder(tmp_path).find_named("m.csv") == tmp_path / "a" / "m.csv"
    written(tmp_path / "c/m.csv", "z")
    with pytest.raises(UserError, match="have the same name and differ"):
        DatasetFolder(tmp_path).find_named("m.csv")


def test_the_very_case_of_a_name_goes_first(tmp_path: Path) -> None:
    written(tmp_path / "a/m.csv", "x")
    written(tmp_path / "a/M.csv", "y")
    assert DatasetFolder(tmp_path).find_named("m.csv") == tmp_path / "a" / "m.csv"


def test_a_table_that_is_a_link_out_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "m.csv").symlink_to(written(tmp_path / "elsewhere.csv", "x"))
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        DatasetFolder(tmp_path / "data").find_named("m.csv")
    assert DatasetFolder(tmp_path / "data", allow_links=True).find_named("m.csv") is not None


def test_making_one_touches_no_disk_and_its_files_have_texts(tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "none")
    assert not folder.exists()
    assert str(folder) == str(tmp_path / "none")
    path = folder.find("a/1.png")
    assert path == folder.locate("a/1.png") == tmp_path / "none" / "a" / "1.png"
    assert folder.to_text(path) == "a/1.png"
    strange = tmp_path / "none" / "a\\b.png"
    assert folder.locate(folder.to_text(strange)) == strange
    with pytest.raises(UserError, match="must be a relative path"):
        folder.find("../1.png")


def test_only_a_folder_in_it_is_listed_where_that_is_meant(tmp_path: Path) -> None:
    draw(tmp_path / "a" / "1.png", 1)
    draw(tmp_path / "b" / "2.png", 2)
    assert texts(tmp_path, below=tmp_path / "b") == ["b/2.png"]


def test_an_image_that_is_a_link_out_of_the_folder_is_an_error_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.png").symlink_to(draw(tmp_path / "elsewhere.png", 1))
    with pytest.raises(UserError, match="is a link that leaves the dataset folder"):
        DatasetFolder(tmp_path / "data").list_images()
    listing = DatasetFolder(tmp_path / "data", allow_links=True).list_images()
    assert [image.text for image in listing.images] == ["1.png"]
