"""Volumes of the same body come out the same, whatever their voxels are; what is right is computed from its formula."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage, ResizeImage
from medmamba_monai.images.field_of_view import cut_box, find_box, put_back
from medmamba_monai.images.read import describe_image
from tests.helpers.dicom_files import write

SIDE, SIZE = 60.0, 20
WIDTHS = np.array([12.0, 8.0, 16.0])  # of the body, in mm along x, y and z


def body(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """How bright the body is at places (..., 3) in mm from its center."""
    return np.asarray(255 * np.exp(-0.5 * np.square(places / WIDTHS).sum(-1)))


def centers(shape: tuple[int, ...], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Where the centers of the voxels of a volume are, in mm from its own."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def expected() -> NDArray[np.float64]:
    return body(centers((SIZE,) * 3, (SIDE / SIZE,) * 3))


def shown(path: Path) -> NDArray[np.float64]:
    volume = ReadImage(1, 3, dtype="float32", intensity_range=(0, 255), clip=True, field_of_view=SIDE)(path)
    return np.asarray(ResizeImage((SIZE,) * 3)(volume)[0].numpy(), np.float64)


def save(path: Path, shape: tuple[int, ...], spacing: tuple[float, ...], axes: str = "RAS") -> Path:
    """Write the body as NIfTI, the axes of the file in another order."""
    values = body(centers(shape, spacing)).astype(np.float32)
    image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
    target = nibabel.orientations.axcodes2ornt(tuple(axes))
    change = nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(image.affine), target)
    nibabel.save(image.as_reoriented(change), path)
    return path


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((60, 60, 60), (1.0, 1.0, 1.0)), ((80, 100, 30), (1.0, 0.75, 3.0)), ((30, 120, 12), (2.0, 0.5, 5.0))],
    ids=["cubes", "thick slices", "outside"],
)
@pytest.mark.parametrize("axes", ["RAS", "SLP"])
def test_a_body_is_shown_as_it_is(
    tmp_path: Path, shape: tuple[int, ...], spacing: tuple[float, ...], axes: str
) -> None:
    path = save(tmp_path / "a.nii.gz", shape, spacing, axes)
    assert describe_image(path, 3).spacing == spacing
    assert np.abs(shown(path) - expected()).max() < 255 * 0.06  # the filter that scales down smooths a little


def test_without_it_thick_slices_show_another_body(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", (80, 100, 30), (1.0, 0.75, 3.0))
    whole = ReadImage(1, 3, dtype="float32", intensity_range=(0, 255), clip=True)(path)
    assert np.abs(ResizeImage((SIZE,) * 3)(whole)[0].numpy() - expected()).max() > 255 * 0.15


def test_a_series_tells_its_rows_columns_and_slices(tmp_path: Path) -> None:
    values = np.rint(body(centers((40, 60, 17), (1.5, 1.0, 4.0)))).astype(np.uint8)
    for index in range(17):
        write(
            tmp_path / f"{index}.dcm",
            values[::-1, ::-1, index].T,  # columns towards left, rows towards posterior
            ImagePositionPatient=[0.0, 0.0, 4.0 * index],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1.0, 1.5],
        )
    assert describe_image(tmp_path, 3).spacing == (1.5, 1.0, 4.0)
    assert np.abs(shown(tmp_path) - expected()).max() < 255 * 0.06


def test_what_lies_outside_is_black_and_goes_back_to_its_place() -> None:
    volume = np.random.default_rng(0).integers(1, 255, (2, 5, 6, 3))
    box = find_box(volume.shape[1:], (1.0, 2.0, 1.0), (3.0, 4.0, 7.0), "a")
    assert box == ((1, 2, -2), (3, 2, 7))
    cut = cut_box(volume, box)
    np.testing.assert_array_equal(cut[..., 2:5], volume[:, 1:4, 2:4])
    assert not cut[..., :2].any()
    assert not cut[..., 5:].any()
    kept = np.zeros_like(volume)
    kept[:, 1:4, 2:4] = volume[:, 1:4, 2:4]
    np.testing.assert_array_equal(put_back(cut, box, volume.shape[1:]), kept)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), (1, 2), (1, 2, 0)])
def test_it_is_one_or_three_positive_numbers(wrong: object) -> None:
    with pytest.raises(UserError, match="field_of_view: give one or three positive numbers, in mm, found"):
        ReadImage(1, 3, field_of_view=wrong)  # type: ignore[arg-type]


def test_it_is_for_volumes_whose_voxels_have_a_size() -> None:
    with pytest.raises(UserError, match="field_of_view: is for volumes, but spatial_dims is 2"):
        ReadImage(1, 2, field_of_view=3)
    with pytest.raises(UserError, match=r"an array: does not tell the size of its voxels \(None\)"):
        ReadImage(1, 3, field_of_view=3)(np.zeros((2, 2, 2), np.uint8))
