from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.kinds import count_frames
from medmamba_monai.images.read import describe_image

VOLUME = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 10
LPS = np.diag([-1.0, -1, 1, 1])


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def slope_of(path: Path, slope: float) -> Path:
    """Write the slope into the header, which nibabel would rather compute."""
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, 5], "<f4").tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.img", "no_suffix"])
def test_uint8_volume_keeps_its_values(tmp_path: Path, name: str) -> None:
    written = {"a.hdr": "a.img", "no_suffix": "a.nii"}.get(name, name)
    save(tmp_path / written, VOLUME)
    if name == "no_suffix":
        (tmp_path / written).rename(tmp_path / name)
    np.testing.assert_array_equal(ReadImage(channels=1, spatial_dims=3)(tmp_path / name), VOLUME[None])


def test_nifti_2(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(VOLUME, np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(ReadImage(channels=1, spatial_dims=3)(tmp_path / "a.nii.gz"), VOLUME[None])


@pytest.mark.parametrize(
    ("affine", "expected"),
    [
        (LPS, VOLUME[::-1, ::-1]),
        (np.eye(4)[[2, 0, 1, 3]], VOLUME.transpose(2, 0, 1)),
        (
            np.diag([-1.0, -1, 1, 1]) @ np.array([[1, 0.1, 0, 0], [-0.1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]),
            VOLUME[::-1, ::-1],
        ),
    ],
)
def test_axes_become_right_anterior_superior(tmp_path: Path, affine: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(ReadImage(1, 3)(save(tmp_path / "a.nii", VOLUME, affine))[0], expected)


def test_orientation_of_the_qform_alone(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME, None)
    image.set_qform(LPS, 1)
    image.set_sform(None, 0)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(ReadImage(1, 3)(tmp_path / "a.nii")[0], VOLUME[::-1, ::-1])


@pytest.mark.parametrize(
    ("dtype", "range_", "expected"),
    [
        (np.int16, (0, 255), [0, 100, 200]),
        (np.int16, "image", [0, 128, 255]),
        (np.uint16, "full", [0, 0, 1]),
        (np.float32, (-100, 300), [64, 128, 191]),
        (np.float64, "image", [0, 128, 255]),
        (np.int8, "full", [128, 178, 228]),
    ],
)
def test_other_types_are_scaled_as_declared(tmp_path: Path, dtype: type, range_: object, expected: list[int]) -> None:
    values = [0, 50, 100] if dtype is np.int8 else [0, 100, 200]
    path = save(tmp_path / "a.nii.gz", np.array(values, dtype).reshape(3, 1, 1))
    assert ReadImage(1, 3, intensity_range=range_)(path).flatten().tolist() == expected


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = slope_of(save(tmp_path / "a.nii", np.array([0, 10], np.uint8).reshape(2, 1, 1)), 2.0)
    assert ReadImage(1, 3, intensity_range=(5, 25))(path).flatten().tolist() == [0, 255]
    with pytest.raises(UserError, match=r"float64 values from 5 to 25 \(NIfTI uint8 scaled by 2, 5\); declare"):
        ReadImage(1, 3)(path)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_slope_that_says_nothing_is_none(tmp_path: Path, slope: float) -> None:
    path = slope_of(save(tmp_path / "a.nii", VOLUME), slope)
    np.testing.assert_array_equal(ReadImage(1, 3)(path), VOLUME[None])


def test_lengths_of_zero_do_not_matter_beside_an_affine(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", VOLUME)
    content = bytearray(path.read_bytes())
    content[80:92] = bytes(12)  # pixdim
    path.write_bytes(content)
    np.testing.assert_array_equal(ReadImage(1, 3)(path), VOLUME[None])


def test_big_endian(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(np.array([[[0, 300]]], ">i2"), np.eye(4), header), tmp_path / "a.nii")
    assert ReadImage(1, 3, intensity_range=(0, 300))(tmp_path / "a.nii").flatten().tolist() == [0, 255]


def test_rows_of_a_png_that_itk_wrote_come_back(tmp_path: Path) -> None:
    rows = VOLUME[0]
    for voxels in (rows.T, rows.T[..., None]):
        path = save(tmp_path / "a.nii.gz", voxels, LPS)
        np.testing.assert_array_equal(ReadImage(channels=1)(path)[0], rows)


@pytest.mark.parametrize(
    ("shape", "flipped"),
    [((2, 3, 1), "anterior first, right first"), ((2, 1, 3), "superior, right"), ((1, 2, 3), "superior, anterior")],
)
def test_single_slice_lies_as_in_radiology(tmp_path: Path, shape: tuple[int, ...], flipped: str) -> None:
    voxels = np.arange(6, dtype=np.uint8).reshape(shape)
    image = ReadImage(channels=1)(save(tmp_path / "a.nii", voxels))
    assert image.tolist() == [[[5, 2], [4, 1], [3, 0]]], flipped


def test_turned_slice_is_the_axis_that_the_file_says(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.arange(4, dtype=np.uint8).reshape(4, 1, 1), np.eye(4)[[0, 2, 1, 3]])
    assert ReadImage(channels=1)(path).tolist() == [[[3, 2, 1, 0]]]


@pytest.mark.parametrize(("kind", "color"), [("RGB", [1, 2, 3]), ("RGBA", [1, 2, 3])])
def test_colors(tmp_path: Path, kind: str, color: list[int]) -> None:
    dtype = np.dtype([(channel, "u1") for channel in kind])
    voxels = np.zeros((2, 1, 1), dtype)
    voxels[1] = (*color, 255)[: len(kind)]
    if kind == "RGBA":
        voxels[0] = (9, 9, 9, 0)
    image = ReadImage(3, 3, background=0)(save(tmp_path / "a.nii", voxels))
    assert image[:, :, 0, 0].T.tolist() == [[0, 0, 0], color]


def test_fourth_axis(tmp_path: Path) -> None:
    one = save(tmp_path / "one.nii", VOLUME[..., None])
    np.testing.assert_array_equal(ReadImage(1, 3)(one), VOLUME[None])
    two = save(tmp_path / "two.nii", np.stack([VOLUME, VOLUME + 1], axis=-1))
    with pytest.raises(UserError, match="has 2 frames"):
        ReadImage(1, 3)(two)
    np.testing.assert_array_equal(ReadImage(1, 3, frame=1)(two), VOLUME[None] + 1)
    np.testing.assert_array_equal(ReadImage(1, 3)(f"{two}#frame[1]"), VOLUME[None] + 1)
    assert [count_frames(one), count_frames(two)] == [1, 2]


def test_fill_for_what_is_not_finite(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.array([np.nan, np.inf, 1], np.float32).reshape(3, 1, 1))
    with pytest.raises(UserError, match="2 values are NaN or infinite"):
        ReadImage(1, 3, intensity_range=(0, 1))(path)
    filled = ReadImage(1, 3, intensity_range=(0, 1), fill_non_finite=0)(path)
    assert filled.flatten().tolist() == [0, 0, 255]
    assert describe_image(path, 3).non_finite == 2


@pytest.mark.parametrize(
    ("voxels", "affine", "codes", "said"),
    [
        (
            VOLUME.astype(np.int16),
            None,
            {},
            r"int16 values from 0 to 230 \(NIfTI int16\).*\(0, 230\), \"full\" or \"image\"",
        ),
        (VOLUME.astype(np.complex64), None, {}, "values of type complex64"),
        (VOLUME[..., None, None].repeat(2, 4), None, {}, "has 5 dimensions"),
        (VOLUME, None, {"sform_code": 0, "qform_code": 0}, "does not tell its orientation"),
        (VOLUME, None, {"srow": 0}, "maps voxels to no place"),
    ],
)
def test_refused_volume_is_named(
    tmp_path: Path, voxels: np.ndarray, affine: np.ndarray | None, codes: dict[str, int], said: str
) -> None:
    path = save(tmp_path / "a.nii", voxels, affine)
    if codes:
        content = bytearray(path.read_bytes())
        start, stop = (280, 296) if "srow" in codes else (252, 256)  # the affine's first row, or the codes
        content[start:stop] = bytes(stop - start)
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(1, 3)(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_volume_where_two_dimensions_are_declared(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a volume of \(2, 3, 4\), but 2 dimensions are declared"):
        ReadImage(channels=1)(save(tmp_path / "a.nii", VOLUME))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_damage_is_an_error(tmp_path: Path, name: str) -> None:
    whole = save(tmp_path / name, np.random.default_rng(0).integers(0, 255, (9, 9, 9), np.uint8)).read_bytes()
    for content in (whole[:-100], whole[:100], whole[:20]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            ReadImage(1, 3)(tmp_path / name)


def test_flipped_bit_of_a_compressed_volume_is_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 255, (9, 9, 9), np.uint8))
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        ReadImage(1, 3)(path)


def test_bounds_hold_before_and_while_inflating(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((200, 200, 200), np.uint8))
    assert path.stat().st_size < 50_000
    with pytest.raises(UserError, match=r"too large to decode \(200 x 200 x 200\)"):
        ReadImage(1, 3, max_pixels=10**6)(path)
    with pytest.raises(UserError, match="expands to more than 1000000 bytes"):
        ReadImage(1, 3, max_bytes=10**6)(path)
    path.write_bytes(gzip.compress(gzip.decompress(save(path, VOLUME).read_bytes()) + bytes(10**7)))
    with pytest.raises(UserError, match="expands to more than 1000000 bytes"):
        ReadImage(1, 3, max_bytes=10**6)(path)


def test_compressed_volume_stops_soon_after_what_its_header_tells(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", VOLUME)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(2**25)))
    with pytest.raises(UserError, match=r"expands to 16777592 bytes and more, which its header does not tell"):
        ReadImage(1, 3)(path)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(np.uint8, (True, "full range", False)), (np.int16, (False, "not known", True))]
)
def test_facts_tell_whether_a_range_is_needed(tmp_path: Path, dtype: type, expected: tuple[object, ...]) -> None:
    facts = describe_image(save(tmp_path / "a.nii", VOLUME.astype(dtype)), 3)
    assert (facts.has_display, facts.display, facts.needs_range) == expected


def test_facts_of_no_finite_value(tmp_path: Path) -> None:
    facts = describe_image(save(tmp_path / "a.nii", np.full((2, 2, 2), np.nan, np.float32)), 3)
    assert np.isnan([facts.minimum, facts.maximum]).all()
    assert facts.non_finite == 8


def test_gzip_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"text" * 500))
    with pytest.raises(UserError, match="is a gzip file that holds no NIfTI image"):
        ReadImage(1, 3)(tmp_path / "a.nii.gz")


def test_damage_anywhere_raises_nothing_but_user_errors(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.nii", VOLUME).read_bytes()
    read, generator = ReadImage(1, 3, intensity_range="image"), np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        content[generator.integers(348)] ^= 1 << generator.integers(8)
        (tmp_path / "a.nii").write_bytes(content)
        with contextlib.suppress(UserError):
            read(tmp_path / "a.nii")
