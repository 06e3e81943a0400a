"""Patches of volumes: the voxels of the whole volume, a layer of them in memory at a time."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage, ResizeImage
from medmamba_monai.images.intensity import Rules
from medmamba_monai.images.layered_volume import LayeredVolume, read_overview
from medmamba_monai.images.patches import Patches, Patching, find_patches, read_patches
from medmamba_monai.images.raw_image import Limits

RANGE = (-100.0, 300.0)
RULES = Rules(RANGE, clip=True)
TURNED = np.array([[0, -2.0, 0], [0, 0, -1.0], [0.5, 0, 0]])
"""The axes of the file lead to superior, left and posterior, by 0.5, 2 and 1 mm."""
EVERYTHING = Patching(min_content=0, content_above=0)


def write_volume(path: Path, values: np.ndarray, directions: np.ndarray) -> Path:
    affine = np.eye(4)
    affine[:3, :3] = directions
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_slope_inter(2, -50)
    nibabel.save(image, path)
    return path


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(np.int16)


def cut(path: Path, patching: Patching, size: int, limits: Limits | None = None) -> tuple[Patches, np.ndarray]:
    with LayeredVolume(path, limits or Limits()) as volume:
        patches = find_patches(volume, patching, RULES, size)
        read = list(read_patches(volume, patches.corners, patches.edges, size, RULES))
    return patches, np.stack(read)


def read_whole(path: Path) -> torch.Tensor:
    return ReadImage(1, 3, intensity_range=RANGE, clip=True)(path)[0]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("directions", [np.eye(3), TURNED, -np.eye(3)])
def test_patches_are_the_voxels_of_the_whole_volume_as_it_is_read(tmp_path, name, directions):
    path = write_volume(tmp_path / name, draw(20, 16, 27), directions)
    whole = read_whole(path).numpy()
    patches, found = cut(path, EVERYTHING, 8)
    assert patches.total == len(found) == 3 * 2 * 4
    covered = np.zeros(whole.shape, bool)
    for (x, y, z), patch in zip(patches.corners, found, strict=True):
        box = (slice(x, x + 8), slice(y, y + 8), slice(z, z + 8))
        np.testing.assert_array_equal(patch, whole[box])
        covered[box] = True
    assert covered.all()
    assert len(np.unique(patches.corners, axis=0)) == len(found)


def test_patches_in_millimetres_are_scaled_like_a_volume(tmp_path):
    path = write_volume(tmp_path / "a.nii.gz", draw(32, 12, 20), TURNED)
    whole = read_whole(path)
    patches, found = cut(path, Patching(millimetres_per_voxel=1.0, min_content=0), 8)
    assert patches.edges == (4, 8, 16)
    for (x, y, z), patch in zip(patches.corners, found, strict=True):
        expected = ResizeImage([8, 8, 8])(whole[None, x : x + 4, y : y + 8, z : z + 16])[0]
        np.testing.assert_array_equal(patch, expected)


def test_what_lies_outside_of_a_small_volume_is_black(tmp_path):
    path = write_volume(tmp_path / "a.nii", draw(5, 20, 6), np.eye(3))
    patches, found = cut(path, EVERYTHING, 8)
    assert patches.corners.tolist() == [[0, 0, 0], [0, 8, 0], [0, 12, 0]]
    np.testing.assert_array_equal(found[0, :5, :, :6], read_whole(path)[:, :8])
    assert not found[:, 5:].any()
    assert not found[..., 6:].any()


def test_patches_that_show_nothing_are_left_out_and_of_many_some_are_taken(tmp_path):
    values = np.zeros((24, 24, 24), np.int16)
    values[1:8, 1:8, 9:16] = values[9:16, 17:24, 17:24] = 150
    path = write_volume(tmp_path / "a.nii", values, np.eye(3))
    patches, _ = cut(path, Patching(content_above=100, min_content=0.5), 8)
    assert patches.corners.tolist() == [[0, 0, 8], [8, 16, 16]]
    some, _ = cut(path, Patching(min_content=0, content_above=0, max_patches=5), 8)
    assert (len(some.corners), some.usable, some.total) == (5, 27, 27)
    with pytest.raises(UserError, match=r"a\.nii: shows nothing: none of its 27 patches of 8 x 8 x 8 voxels"):
        cut(path, Patching(content_above=254), 8)


def test_a_volume_is_never_in_memory_as_a_whole(tmp_path):
    path, shape, edge = tmp_path / "large.nii", (256, 256, 1024), 32
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    place = np.array([96, 160, 704])
    with path.open("wb") as file:
        header.write_to(file)
        file.truncate(352 + np.prod(shape))  # 64 MiB that take no room on the disk
        for y, z in itertools.product(range(edge), repeat=2):
            file.seek(352 + int(place[0] + shape[0] * ((place[1] + y) + shape[1] * (place[2] + z))))
            file.write(b"\xc8" * edge)
    tracemalloc.start()
    try:
        with LayeredVolume(path, Limits()) as volume:
            patches = find_patches(volume, Patching(), Rules(), edge)
            (patch,) = read_patches(volume, patches.corners, patches.edges, edge, Rules())
        small = read_overview(path, 128, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (patches.corners.tolist(), patches.total) == ([place.tolist()], 8 * 8 * 32)
    assert (patch == 200).all()
    assert small.values.shape == (32, 32, 128)
    assert (small.values == 200).sum() == (edge // 8) ** 3
    layer = shape[0] * shape[1] * edge
    assert layer <= peak < 3 * layer < np.prod(shape) / 10


def test_an_overview_has_the_axes_of_the_volume(tmp_path):
    path = write_volume(tmp_path / "a.nii.gz", draw(20, 16, 27), TURNED)
    small = ReadImage(1, 3, intensity_range=RANGE, clip=True, thumbnail=9)(path)[0]
    np.testing.assert_array_equal(small, read_whole(path)[::3, ::3, ::3])
    assert read_overview(path, 9, Limits()).spacing == (6.0, 3.0, 1.5)


def test_files_that_are_not_cut(tmp_path):
    write_volume(tmp_path / "pair.hdr", draw(8, 8, 8), np.eye(3))
    several = nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4))
    nibabel.save(several, tmp_path / "several.nii")
    color = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(color, np.eye(4)), tmp_path / "color.nii")
    whole = write_volume(tmp_path / "whole.nii", draw(8, 8, 8), np.eye(3)).read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[:-100])
    (tmp_path / "text.nii").write_text("no volume")
    for name, words in (
        ("pair.hdr", "is a pair of files"),
        ("several.nii", "holds 2 volumes"),
        ("color.nii", "is a color volume"),
        ("cut.nii", "is damaged"),
        ("text.nii", "no NIfTI image"),
        ("missing.nii", "does not exist"),
    ):
        with pytest.raises(UserError, match=rf"{name}.*{words}"):
            cut(tmp_path / name, EVERYTHING, 4)
    with pytest.raises(UserError, match=r"whole\.nii, 4 slices of it: is too large to decode \(8 x 8 x 4\)"):
        cut(tmp_path / "whole.nii", EVERYTHING, 4, Limits(pixels=255))
