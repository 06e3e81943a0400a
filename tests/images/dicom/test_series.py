from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.read import describe_image
from tests.helpers.dicom_files import item, write

AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
VOLUME = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)  # slice, row, column


def series(
    folder: Path, planes: np.ndarray = VOLUME, cosines: list[float] = AXIAL, step: float = 2.0, **attributes: object
) -> Path:
    """Slices along the normal, named and numbered against their order."""
    folder.mkdir(exist_ok=True)
    normal = np.cross(cosines[:3], cosines[3:])
    for index, plane in enumerate(planes):
        write(
            folder / f"{len(planes) - index:03d}.dcm",
            plane,
            ImagePositionPatient=[float(x) for x in normal * step * index],
            ImageOrientationPatient=cosines,
            PixelSpacing=[1, 1],
            InstanceNumber=len(planes) - index,
            **attributes,
        )
    return folder


def lut(entries: list[int]) -> Dataset:
    """A VOI lookup table of 8 bits for the values from 0 on."""
    made = item(LUTDescriptor=[len(entries), 0, 8], LUTData=entries)
    made["LUTDescriptor"].VR = made["LUTData"].VR = "US"
    return made


def as_nifti(path: Path, cosines: list[float]) -> Path:
    """The same scan, as a converter would write it: axes column, row, slice, and the affine in RAS."""
    steps = np.stack([cosines[:3], cosines[3:], 2 * np.cross(cosines[:3], cosines[3:])], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ steps
    nibabel.save(nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), affine), path)
    return path


def test_axial_series_goes_right_anterior_superior(tmp_path: Path) -> None:
    image = ReadImage(channels=1, spatial_dims=3)(series(tmp_path / "scan"))
    assert image.shape == (1, 4, 3, 2)
    np.testing.assert_array_equal(image[0], VOLUME.transpose(2, 1, 0)[::-1, ::-1])


@pytest.mark.parametrize("cosines", [AXIAL, CORONAL, SAGITTAL, [-1, 0, 0, 0, -1, 0], [0.96, 0.28, 0, -0.28, 0.96, 0]])
def test_series_equals_the_same_scan_as_nifti(tmp_path: Path, cosines: list[float]) -> None:
    read = ReadImage(channels=1, spatial_dims=3)
    expected = read(as_nifti(tmp_path / "scan.nii.gz", cosines))
    np.testing.assert_array_equal(read(series(tmp_path / "scan", cosines=cosines)), expected)


def test_each_slice_is_rescaled_by_its_own_numbers(tmp_path: Path) -> None:
    for index, slope in enumerate([1, 2]):
        attributes = {"RescaleSlope": slope, "RescaleIntercept": -10, "ImageOrientationPatient": AXIAL}
        position = [0, 0, index]
        write(tmp_path / f"{index}", np.full((1, 2), 100, np.uint8), ImagePositionPatient=position, **attributes)
    image = ReadImage(1, 3, intensity_range=(0, 255))(tmp_path)
    assert image[0, 0, 0].tolist() == [90, 190]


def test_common_window_is_used_and_different_ones_are_an_error(tmp_path: Path) -> None:
    series(tmp_path, WindowCenter=2, WindowWidth=4)
    assert ReadImage(1, 3)(tmp_path)[0, 3, 2, 0] == 0
    assert ReadImage(1, 3)(tmp_path)[0, 0, 2, 0] == 255
    add(tmp_path, WindowCenter=9, WindowWidth=4)
    with pytest.raises(UserError, match=r"extra\.dcm: asks for window 9, 4, but .*002\.dcm .* for window 2, 4;"):
        ReadImage(1, 3)(tmp_path)
    facts = describe_image(tmp_path, 3)
    assert (facts.window, facts.has_display, facts.display, facts.needs_range) == (None, False, "windows differ", True)
    assert ReadImage(1, 3, window=(2, 4))(tmp_path)[0, 0, 2, 0] == 191


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ({"WindowCenter": 2, "WindowWidth": 4}, {"WindowCenter": 2, "WindowWidth": 4, "VOILUTFunction": "SIGMOID"}),
        ({"VOILUTSequence": [lut([0, 255, 255])]}, {"VOILUTSequence": [lut([255, 0, 0])]}),
        ({"VOILUTSequence": [lut([0, 255, 255])]}, {}),
    ],
    ids=["function", "table", "table or nothing"],
)
def test_slices_that_ask_for_different_displays_need_a_declared_one(
    tmp_path: Path, usual: dict[str, object], other: dict[str, object]
) -> None:
    series(tmp_path, **usual)
    assert ReadImage(1, 3)(tmp_path).shape == (1, 4, 3, 2)
    add(tmp_path, **other)
    with pytest.raises(UserError, match=r"extra\.dcm: asks for .*, but .*002\.dcm of the same volume for .*; declare"):
        ReadImage(1, 3)(tmp_path)
    assert not describe_image(tmp_path, 3).has_display
    assert ReadImage(1, 3, intensity_range=(0, 255))(tmp_path)[0, 0, 2, 0] == 3


def test_padding_of_one_slice_is_black(tmp_path: Path) -> None:
    image = ReadImage(1, 3)(series(tmp_path, VOLUME + np.uint8(100), PixelPaddingValue=101))
    assert image[0, :, 2, 0].tolist() == [103, 102, 0, 100]


def test_other_files_are_left_out(tmp_path: Path) -> None:
    series(tmp_path)
    for name in ("notes.txt", ".hidden.dcm", "DICOMDIR"):
        (tmp_path / name).write_bytes(b"no pixels")
    write(tmp_path / "report.dcm", None, SeriesInstanceUID="1.2.9")
    assert describe_image(tmp_path, 3).shape == (4, 3, 2)


def add(folder: Path, position: float = 4.0, pixels: np.ndarray = VOLUME[0], **attributes: object) -> None:
    standard = {"ImagePositionPatient": [0, 0, position], "ImageOrientationPatient": AXIAL}
    write(folder / "extra.dcm", pixels, **(standard | attributes))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"SeriesInstanceUID": "1.2.9"}, r"holds 2 series: .*2 files \(CT, 3 x 4\).*1 files \(CT, 3 x 4\)"),
        ({"position": 2}, r"001\.dcm: is at the same position as .*extra\.dcm"),
        ({"position": 7}, r"001\.dcm: is 5 mm from .*extra\.dcm, others 2 mm"),
        ({"ImageOrientationPatient": CORONAL}, r"turned otherwise than .*localizer"),
        ({"pixels": np.zeros((5, 5), np.uint8)}, r"extra\.dcm: is \(5, 5\) pixels, but .*001\.dcm"),
        ({"pixels": np.zeros((3, 4, 3), np.uint8)}, "RGB, but"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1, but"),
        ({"ImagePositionPatient": None}, r"extra\.dcm: has no ImagePositionPatient"),
        ({"NumberOfFrames": 2, "pixels": np.stack([VOLUME[0]] * 2)}, "is a volume of its own"),
    ],
)
def test_what_is_no_regular_stack_is_an_error(tmp_path: Path, attributes: dict[str, object], said: str) -> None:
    series(tmp_path)
    add(tmp_path, **attributes)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(channels=1, spatial_dims=3)(tmp_path)
    assert "Secret" not in str(caught.value)
    assert "1.2.840" not in str(caught.value)


def test_slight_differences_of_spacing_are_allowed(tmp_path: Path) -> None:
    series(tmp_path)
    add(tmp_path, position=4.009)
    assert ReadImage(1, 3)(tmp_path).shape == (1, 4, 3, 3)


def test_bound_holds_for_the_whole_volume(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too large to decode"):
        ReadImage(1, 3, max_pixels=23)(series(tmp_path))


def test_folder_without_dicom_and_single_slice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder without DICOM images"):
        ReadImage(1, 3)(tmp_path)
    series(tmp_path, VOLUME[:1])
    np.testing.assert_array_equal(ReadImage(1, 3)(tmp_path)[0, ..., 0], VOLUME[0].T[::-1, ::-1])
    with pytest.raises(UserError, match="is one slice; name the folder"):
        ReadImage(1, 3)(tmp_path / "001.dcm")


def enhanced(path: Path, positions: list[float]) -> Path:
    own = [item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, place])]) for place in positions]
    shared = [item(PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)])]
    return write(
        path,
        VOLUME,
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=own,
        SharedFunctionalGroupsSequence=shared,
    )


def test_enhanced_file_is_a_volume_in_the_order_of_its_positions(tmp_path: Path) -> None:
    read = ReadImage(channels=1, spatial_dims=3)
    expected = VOLUME.transpose(2, 1, 0)[::-1, ::-1]
    np.testing.assert_array_equal(read(enhanced(tmp_path / "a.dcm", [0, 1]))[0], expected)
    np.testing.assert_array_equal(read(enhanced(tmp_path / "b.dcm", [1, 0]))[0], expected[..., ::-1])


def test_single_frame_is_no_volume(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", [0, 1])
    for source, frame in ((f"{path}#frame[1]", None), (path, 1), (series(tmp_path / "scan"), 0)):
        with pytest.raises(UserError, match=r"frame [01] is named, which is flat; set spatial_dims to 2"):
            ReadImage(1, 3, frame=frame)(source)


def test_frames_without_positions_are_no_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VOLUME, NumberOfFrames=2)
    with pytest.raises(UserError, match=r"a\.dcm#frame\[0\]: has no ImagePositionPatient"):
        ReadImage(1, 3)(path)
