"""A map is where the volume is, whatever way the file's axes run."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.explanations.volumes import is_nifti_volume, write_in_space

AFFINE = np.array([[0, 0, -2.0, 30], [3, 0, 0, -20], [0, 1.5, 0, 5], [0, 0, 0, 1]])  # the axes run A, S and L


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 12, 16), np.uint8), AFFINE), tmp_path / "volume.nii.gz")
    return tmp_path / "volume.nii.gz"


def find_peak(path: Path) -> np.ndarray:
    """Millimetres of the middle of the largest values."""
    found = nibabel.load(path)
    places = np.argwhere(np.isclose(found.get_fdata(), found.get_fdata().max()))
    return found.affine[:3] @ [*places.mean(0), 1]


def test_a_map_has_the_grid_of_its_volume_and_its_peak_where_it_was(volume: Path, tmp_path: Path) -> None:
    values = np.zeros((4, 4, 4), np.float32)  # in the axes right, anterior, superior
    values[3, 0, 2] = 1
    write_in_space(tmp_path / "map.nii.gz", values, str(volume))
    found = nibabel.load(tmp_path / "map.nii.gz")
    assert found.shape == (8, 12, 16)
    assert found.get_data_dtype() == np.float32
    np.testing.assert_array_equal(found.affine, AFFINE)
    # Right: voxels of 2 mm from 0 to 30; anterior: of 3 mm from -20; superior: of 1.5 mm from 5.
    expected = [(3.5 / 4 * 16 - 0.5) * 2, -20 + (0.5 / 4 * 8 - 0.5) * 3, 5 + (2.5 / 4 * 12 - 0.5) * 1.5]
    assert find_peak(tmp_path / "map.nii.gz") == pytest.approx(expected, abs=3)


def test_what_the_network_does_not_see_has_no_relevance(volume: Path, tmp_path: Path) -> None:
    write_in_space(tmp_path / "map.nii.gz", np.ones((4, 4, 4), np.float32), str(volume), (16, 12, 9))
    values = nibabel.load(tmp_path / "map.nii.gz").get_fdata()
    assert values.sum() == pytest.approx(8 * 4 * 6)  # 16 mm of 2, 12 of 3, 9 of 1.5
    assert values[2:6, 3:9, 4:12].min() == pytest.approx(1)


def test_only_volumes_in_files_of_their_own_have_a_place(volume: Path, tmp_path: Path) -> None:
    assert is_nifti_volume(str(volume), 3)
    assert not is_nifti_volume(str(volume), 2)
    assert not is_nifti_volume(str(tmp_path / "volumes.npz") + "#images[0]", 3)
    assert not is_nifti_volume(str(tmp_path / "gone.nii"), 3)
