from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.data.phantom_slides import write_pyramid
from medmamba_monai.images.slides.open import Slide


@pytest.fixture(scope="module")
def picture():
    """Smooth colors, of which each pixel tells where it is."""
    rows, columns = np.mgrid[:600, :900]
    return np.stack([rows // 4, columns // 4, (rows + columns) // 8], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def path(picture, tmp_path_factory):
    file = tmp_path_factory.mktemp("slides") / "a.tif"
    write_pyramid(file, picture)
    return file


def test_a_region_is_what_was_written_there(path, picture):
    with Slide(path) as slide:
        assert (slide.width, slide.height, slide.microns_per_pixel) == (900, 600, 0.5)
        assert (slide.read((100, 200), 1, (64, 32)) == picture[200:232, 100:164]).all()


def test_a_region_with_less_detail_shows_the_same_place(path, picture):
    with Slide(path) as slide:
        found = slide.read((100, 200), 3, (50, 40)).astype(int)
    middles = picture[201 : 200 + 3 * 40 : 3, 101 : 100 + 3 * 50 : 3].astype(int)
    assert abs(found - middles)[2:-2, 2:-2].max() <= 2


def test_what_lies_outside_is_white(path):
    with Slide(path) as slide:
        region = slide.read((880, 580), 1, (40, 40))
    assert (region[20:] == 255).all()
    assert (region[:, 20:] == 255).all()
    assert (region[:20, :20] < 255).any()


def test_an_overview_of_many_blocks_is_that_of_one(path, monkeypatch):
    with Slide(path) as slide:
        whole = slide.read_overview(4)
        monkeypatch.setattr("medmamba_monai.images.slides.open._BLOCK", 64)
        assert whole.shape == (150, 225, 3)
        assert abs(slide.read_overview(4).astype(int) - whole).max() <= 2
        assert slide.read_thumbnail(90).shape == (60, 90, 3)


def test_more_detail_than_there_is_is_refused(path):
    with Slide(path) as slide, pytest.raises(UserError, match=r"a\.tif: its finest level has 2\.00 times less detail"):
        slide.read((0, 0), 0.5, (8, 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no slide at all", "is no slide that OpenSlide reads"), (None, "does not exist")],
)
def test_a_file_that_is_no_slide_is_named(tmp_path, content, message):
    path = tmp_path / "odd.svs"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"odd\.svs: {message}"):
        Slide(path)


def test_a_damaged_slide_is_named_where_it_is_read(path, tmp_path):
    broken = tmp_path / "broken.tif"
    content = bytearray(path.read_bytes())
    content[20_000:40_000] = bytes(20_000)
    broken.write_bytes(content)
    with Slide(broken) as slide, pytest.raises(UserError, match=r"broken\.tif: is damaged"):
        slide.read((0, 0), 1, (900, 600))


def test_without_openslide_the_message_says_what_to_install(path, monkeypatch):
    monkeypatch.setattr("medmamba_monai.images.slides.open.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'medmamba-monai\[slides\]'"):
        Slide(path)
