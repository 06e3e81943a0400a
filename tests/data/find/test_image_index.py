from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.find.dataset_folder import DatasetFolder
from medmamba_monai.data.find.image_files import ImageFile
from medmamba_monai.data.find.image_index import ImageIndex, normalize_name


def found(folder: Path, name: str, *files: str, table_dir: str = ".") -> list[str]:
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(str(number))
    index = ImageIndex([ImageFile(file, (file,)) for file in files], DatasetFolder(folder), folder / table_dir)
    return [image.text for image in index.find("line 2", name)]


@pytest.mark.parametrize(
    "name", ["x/y/1.png", "X/Y/1.PNG", "y/1.png", "1.png", "./1.png", "y\\1.png", "x/z/../y/1.png", "1", "x/y/1"]
)
def test_an_image_has_many_names(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, name, "x/y/1.png", "x/y/11.png") == ["x/y/1.png"]


@pytest.mark.parametrize("name", ["z/1.png", "/y/1.png", "../1.png", "1.jpg", "1.png/", "png"])
def test_and_not_others(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, name, "x/y/1.png") == ([] if name != "1.png/" else ["x/y/1.png"])


def test_a_whole_path_goes_before_the_end_of_one(tmp_path: Path) -> None:
    assert found(tmp_path, "y/1.png", "y/1.png", "x/y/1.png") == ["y/1.png"]


def test_a_path_from_the_table_goes_before_the_end_of_one(tmp_path: Path) -> None:
    assert found(tmp_path, "y/1.png", "a/y/1.png", "x/y/1.png", table_dir="x") == ["x/y/1.png"]


def test_a_file_name_goes_before_one_without_its_suffix(tmp_path: Path) -> None:
    assert found(tmp_path, "1.nii", "1.nii", "1.nii.dcm") == ["1.nii"]


def test_a_dot_in_a_name_is_no_suffix(tmp_path: Path) -> None:
    assert found(tmp_path, "scan.1", "scan.1.nii.gz", "scan.2.nii.gz") == ["scan.1.nii.gz"]
    assert found(tmp_path, "scan", "scan.1.nii.gz") == []


def test_an_accent_may_be_written_in_two_ways(tmp_path: Path) -> None:
    assert found(tmp_path, "\u00e9.png", "e\u0301.png") == ["e\u0301.png"]


def test_a_name_that_fits_two_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: fits .*1\.jpg and .*1\.png, which differ; give the path"):
        found(tmp_path, "1", "1.png", "1.jpg")


def test_a_linked_dataset_folder_has_two_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for folder in ("data", "link"):
        assert found(tmp_path / "link", f"{tmp_path / folder}/1.png", "1.png") == ["1.png"]


def test_same_name_takes_nothing_but_case_and_suffix_away() -> None:
    assert normalize_name("A\\ISIC_1.JPG") == normalize_name("a/isic_1")
    assert len({normalize_name(name) for name in ("1", "a/1", "scan.1", "scan.2")}) == 4
