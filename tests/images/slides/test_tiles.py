from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.phantom_slides import draw_phantom_slide, write_pyramid
from medmamba_monai.images.slides.open import Slide
from medmamba_monai.images.slides.tiles import Tiling, find_tiles, read_tile
from medmamba_monai.images.slides.tissue import compute_saturation, find_otsu_threshold, find_tissue

PINK = (225, 165, 200)


@pytest.fixture
def open_slide(tmp_path):
    """A function from a picture to its open slide."""

    def make(picture: np.ndarray, microns_per_pixel: float | None = 0.5) -> Slide:
        write_pyramid(tmp_path / "slide.tif", picture, microns_per_pixel)
        return Slide(tmp_path / "slide.tif")

    return make


def draw_square(edge: int = 512, left: int = 128, top: int = 256, length: int = 128) -> np.ndarray:
    picture = np.full((edge, edge, 3), 244, np.uint8)
    picture[top : top + length, left : left + length] = PINK
    return picture


def test_otsu_parts_two_levels_in_their_middle():
    values = np.array([0.2] * 700 + [0.6] * 300)
    assert 0.39 < find_otsu_threshold(values) < 0.41


def test_saturation_is_that_of_hsv_and_none_of_what_is_nearly_black():
    picture = np.array([[[200, 100, 150], [128, 128, 128], [20, 0, 9]]], np.uint8)
    assert compute_saturation(picture).round(4).tolist() == [[0.5, 0, 0]]


def test_tissue_is_found_and_glass_with_noise_is_none():
    picture, _ = draw_phantom_slide(1, 256, np.random.default_rng(0))
    tissue = find_tissue(picture)
    assert tissue[118:138, 118:138].all()
    assert not tissue[:8].any()
    noise = np.random.default_rng(0).normal(240, 2, (64, 64, 3)).round().astype(np.uint8)
    assert not find_tissue(noise).any()


def test_the_tiles_are_those_with_tissue(open_slide):
    with open_slide(draw_square()) as slide:
        tiles = find_tiles(slide, Tiling(microns_per_pixel=0.5), 64)
        assert tiles.corners.tolist() == [[128, 256], [192, 256], [128, 320], [192, 320]]
        assert (tiles.with_tissue, tiles.total, tiles.edge) == (4, 64, 64)
        assert (read_tile(slide, tiles, 3) == PINK).all()


def test_a_coarser_magnification_takes_larger_pieces(open_slide):
    with open_slide(draw_square()) as slide:
        tiles = find_tiles(slide, Tiling(microns_per_pixel=1.0), 64)
        assert tiles.corners.tolist() == [[128, 256]]
        assert read_tile(slide, tiles, 0).shape == (64, 64, 3)
        assert find_tiles(slide, Tiling(downsample=2), 64).corners.tolist() == [[128, 256]]


@pytest.mark.parametrize(("min_tissue", "number"), [(0.2, 4), (0.3, 0)])
def test_a_tile_needs_its_share_of_tissue(open_slide, min_tissue, number):
    with open_slide(draw_square(left=160, top=288, length=64)) as slide:  # a quarter of each of four tiles
        tiling = Tiling(downsample=1, min_tissue=min_tissue)
        if number:
            assert len(find_tiles(slide, tiling, 64).corners) == number
        else:
            with pytest.raises(UserError, match=r"slide\.tif: shows no tissue: none of its 64 tiles"):
                find_tiles(slide, tiling, 64)


def test_of_too_many_tiles_evenly_spread_ones_are_taken(open_slide):
    with open_slide(np.full((512, 512, 3), PINK, np.uint8)) as slide:
        everything = find_tiles(slide, Tiling(downsample=1), 64)
        some = find_tiles(slide, Tiling(downsample=1, max_tiles=3), 64)
    assert len(everything.corners) == 64
    assert some.with_tissue == 64
    assert (some.corners == everything.corners[[0, 32, 63]]).all()


def test_a_slide_without_a_scale_is_named(open_slide):
    with open_slide(draw_square(), None) as slide:
        assert slide.microns_per_pixel is None
        with pytest.raises(UserError, match=r"slide\.tif: does not say how many microns"):
            find_tiles(slide, Tiling(microns_per_pixel=0.5), 64)


@pytest.mark.parametrize("given", [{}, {"microns_per_pixel": 0.5, "downsample": 2}, {"downsample": 0.5}])
def test_a_tiling_has_one_magnification(given):
    with pytest.raises(ValidationError):
        Tiling(**given)
