from __future__ import annotations

import re

from benchmarks.slides import format_table, write_large_slide
from medmamba_monai.images.slides.open import Slide
from medmamba_monai.images.slides.tiles import Tiling, find_tiles


def test_a_generated_slide_is_a_pyramid_with_a_disc_of_tissue(tmp_path):
    edge = write_large_slide(tmp_path / "slide.tif", 0.02)
    assert edge == 4096
    with Slide(tmp_path / "slide.tif") as slide:
        assert (slide.width, slide.height, slide.microns_per_pixel) == (edge, edge, 0.25)
        tiles = find_tiles(slide, Tiling(downsample=1), 512)
    assert 0.1 < tiles.with_tissue / tiles.total < 0.5


def test_the_table_shows_what_was_measured():
    slide = {"gigapixels": 40.3, "tiles": 123456, "number": 32}
    slide |= {"find": {"seconds": 1.25, "memory": 2e8}, "features": {"seconds": 3.0, "memory": 3e8}}
    row = format_table([slide]).splitlines()[-1]
    assert [cell.strip() for cell in re.split(r"\|", row)[1:-1]] == [
        *("40", "123,456", "1.2 s", "200 MB"),
        *("32 tiles", "3.0 s", "300 MB"),
    ]
