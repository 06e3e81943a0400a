"""A mosaic shows every image as it is, tells right from wrong without color, and keeps captions apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from medmamba_monai.core.errors import UserError
from medmamba_monai.evaluation.figures.images import Caption, draw_mosaic
from medmamba_monai.evaluation.figures.style import save_figure
from tests.helpers.drawn_figures import margin, overlapping

LONG = "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)"
RIGHT: Caption = ("normal", "normal", 0.93, "test_00007")
WRONG: Caption = ("normal", "pneumonia", 0.9999, "test_00008")


def gray(height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(height, width)).astype(np.uint8)


def captions(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_an_image_is_shown_as_it_is() -> None:
    color = np.stack([gray()] * 3, axis=2)
    first, second = draw_mosaic([gray(), color], [RIGHT, WRONG], "").axes[:2]
    assert np.array_equal(first.images[0].get_array(), gray())
    assert first.images[0].get_clim() == (0, 255)
    assert np.array_equal(second.images[0].get_array(), color)


def test_captions_tell_prediction_truth_and_image() -> None:
    figure = draw_mosaic([gray()] * 2, [RIGHT, WRONG], "")
    assert captions(figure)[0] == "✓ 0.930 normal\ntrue: normal\ntest_00007"
    assert captions(figure)[1].replace("\n", " ") == "✗ >0.999 pneumonia true: normal test_00008"


def test_wrong_ones_have_a_thicker_frame() -> None:
    right, wrong = draw_mosaic([gray()] * 2, [RIGHT, WRONG], "").axes[:2]
    assert wrong.spines["left"].get_linewidth() > 2 * right.spines["left"].get_linewidth()


def test_of_a_long_identifier_the_end_is_shown() -> None:
    text = captions(draw_mosaic([gray()], [("a", "a", 0.5, "folder/patient_1/series/slice_00042.png")], ""))[0]
    assert text.split("\n")[-1].startswith("…")
    assert text.endswith("slice_00042.png")


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (5, 4), (24, 6), (3, 1)])
def test_every_image_has_its_place(count: int, columns: int) -> None:
    figure = draw_mosaic([gray()] * count, [RIGHT] * count, "", columns)
    places = [axes.get_position() for axes in figure.axes[:count]]
    assert len({round(place.x0, 3) for place in places}) == min(count, columns)
    assert len({round(place.y0, 3) for place in places}) == -(-count // columns)


def test_images_keep_the_order_of_reading() -> None:
    figure = draw_mosaic([gray()] * 3, [("a", "a", 0.5, str(index)) for index in range(3)], "", columns=2)
    first, second, third = (axes.get_position() for axes in figure.axes[:3])
    assert first.x0 < second.x0
    assert first.y0 == second.y0 > third.y0


@pytest.mark.parametrize("shape", [(8, 8), (30, 4), (4, 30)])
def test_text_is_inside_and_apart(shape: tuple[int, int]) -> None:
    caption = (LONG, "colorectal adenocarcinoma epithelium", 0.5, "folder/of/a/very/long/name/image.png")
    figure = draw_mosaic([gray(*shape)] * 7, [caption, RIGHT, WRONG, *[caption] * 4], "title", columns=3)
    assert margin(figure) == pytest.approx(0.1, abs=0.03)
    assert overlapping(figure) == []


def test_no_caption_covers_an_image() -> None:
    figure = draw_mosaic([gray()] * 6, [(LONG, LONG[::-1], 0.5, "x"), RIGHT] * 3, "", columns=2)
    figure.draw_without_rendering()
    texts = [text.get_window_extent() for axes in figure.axes[:6] for text in axes.texts]
    assert not any(text.overlaps(axes.get_window_extent()) for text in texts for axes in figure.axes[:6])


def test_names_are_text_and_not_mathematics(tmp_path: Path) -> None:
    save_figure(draw_mosaic([gray()], [("$x$", r"$\frac", 0.5, "$")], r"$\title"), tmp_path / "mosaic")


@pytest.mark.parametrize(
    ("images", "columns", "message"),
    [
        ([], 4, "there are 0 images: give 1 to 24"),
        ([gray()] * 25, 4, "there are 25 images"),
        ([gray()] * 2, 4, "2 images, 1 captions"),
        ([gray()], 0, "0 columns"),
        ([gray() / 255], 4, "image 0 is .* of float64"),
        ([np.zeros((4, 4, 4), np.uint8)], 4, r"image 0 is \(4, 4, 4\)"),
        ([np.zeros((0, 4), np.uint8)], 4, r"image 0 is \(0, 4\)"),
    ],
)
def test_images_that_cannot_be_drawn_are_refused(images: list[np.ndarray], columns: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw_mosaic(images, [RIGHT], "", columns)
