from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import FoldList, prepare_dataset, read_fold_list
from tests.helpers.small_data import folder_card
from tests.helpers.small_images import draw, write_dicom


@pytest.fixture
def volumes(tmp_path: Path) -> FoldList:
    """The list of volumes, each a folder of slices."""
    for label, name in enumerate(("cat", "dog")):
        for scan in range(8):
            folder, series = tmp_path / "data" / name / f"scan{scan}", f"1.2.{scan + 3}"
            for place in range(2):
                write_dicom(folder / f"{place}.dcm", 100 * label + 10 * scan + place, series=series, position=place)
    return prepare_dataset(folder_card(spatial_dims=3), tmp_path / "data", tmp_path / "folds.json", num_folds=2)


def test_a_slice_that_came_later_is_an_error(volumes: FoldList) -> None:
    write_dicom(volumes.dataset_dir / "cat" / "scan1" / "2.dcm", 1, series="1.2.4", position=2)
    with pytest.raises(UserError, match=r"scan1/2\.dcm: is new in a folder of slices, .*run prepare again"):
        read_fold_list(volumes.path, volumes.dataset_dir)


def test_a_slice_that_is_gone_is_an_error(volumes: FoldList) -> None:
    (volumes.dataset_dir / "cat" / "scan1" / "1.dcm").unlink()
    with pytest.raises(UserError, match=r"scan1/1\.dcm: is in .* does not exist"):
        read_fold_list(volumes.path, volumes.dataset_dir)


def test_what_is_no_image_may_lie_beside_the_slices(volumes: FoldList) -> None:
    (volumes.dataset_dir / "cat" / "scan1" / "._0.dcm").write_text("litter")
    (volumes.dataset_dir / "cat" / "scan1" / "notes.txt").write_text("")
    assert read_fold_list(volumes.path, volumes.dataset_dir) == volumes


def test_the_pixels_of_a_nifti_pair_are_looked_at(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(8):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            values = np.random.default_rng(number + 100 * (name == "cat")).integers(0, 256, (4, 4, 4), dtype=np.uint8)
            nibabel.save(nibabel.Nifti1Pair(values, np.eye(4)), tmp_path / "data" / name / f"{number}.img")
    made = prepare_dataset(folder_card(spatial_dims=3), tmp_path / "data", tmp_path / "folds.json", num_folds=2)
    shutil.copy(tmp_path / "data" / "cat" / "1.img", tmp_path / "data" / "cat" / "2.img")
    with pytest.raises(UserError, match=r"cat/2\.img: has MD5"):
        read_fold_list(made.path, made.dataset_dir)


def test_a_number_sign_in_a_file_name_starts_no_frame(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        for number in range(8):
            draw(tmp_path / "data" / name / f"a#{number}.png", 10 * label + number)
    (tmp_path / "notes").write_text("no image")
    (tmp_path / "data" / "cat" / "a").symlink_to(tmp_path / "notes")
    made = prepare_dataset(folder_card(), tmp_path / "data", tmp_path / "folds.json", num_folds=2)
    assert read_fold_list(made.path, made.dataset_dir) == made
