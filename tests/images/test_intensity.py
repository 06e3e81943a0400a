from __future__ import annotations

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.window import apply_window
from medmamba_monai.images.intensity import Rules, scale_to_display
from medmamba_monai.images.raw_image import RawImage

DEEP = np.array([[0, 100, 4095]], np.uint16)
FULL = (0.0, 65535.0)


def shown(raw: RawImage, **rules: object) -> list[list[float]]:
    return scale_to_display(raw, Rules(**rules), "a.png")[0].tolist()


@pytest.mark.parametrize(
    ("range_", "clip", "expected"),
    [
        (None, False, [0, 100 / 257, 4095 / 257]),
        ("full", False, [0, 100 / 257, 4095 / 257]),
        ("image", False, [0, 100 / 4095 * 255, 255]),
        ((0, 4095), False, [0, 100 / 4095 * 255, 255]),
        ((50, 150), True, [0, 127.5, 255]),
        ([-100, 4095], False, [100 / 4195 * 255, 200 / 4195 * 255, 255]),
    ],
)
def test_range_becomes_0_to_255(range_: object, clip: bool, expected: list[float]) -> None:
    image = shown(RawImage(DEEP, "PNG", nominal=FULL), intensity_range=range_, clip=clip)
    np.testing.assert_allclose(image, [expected])


@pytest.mark.parametrize(("range_", "value"), [((50, 5000), "0"), ((0, 1000), "4095"), ((200, 1000), "0")])
def test_value_outside_of_the_range_is_named(range_: tuple[float, float], value: str) -> None:
    with pytest.raises(UserError, match=rf"^a\.png: the value {value} is outside of {range_[0]} to {range_[1]}"):
        shown(RawImage(DEEP, "PNG", nominal=FULL), intensity_range=range_)


def test_declared_range_holds_for_8_bits_too() -> None:
    assert shown(RawImage(np.array([[0, 50]], np.uint8), "PNG"), intensity_range=(0, 50)) == [[0, 255]]


def test_constant_image_is_black() -> None:
    assert shown(RawImage(np.full((1, 2), 7.5), "TIFF", nominal=None), intensity_range="image") == [[0, 0]]


def test_full_range_of_floats_does_not_exist() -> None:
    with pytest.raises(UserError, match=r"float64 values from 7\.5 to 7\.5 .*intensity_range"):
        shown(RawImage(np.full((1, 2), 7.5), "TIFF", nominal=None), intensity_range="full")


def test_window_of_colors_is_an_error() -> None:
    with pytest.raises(UserError, match=r"window .* is for gray values"):
        shown(RawImage(np.zeros((1, 1, 3), np.uint8), "PNG, RGB", color=True), window=(40, 80))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR_EXACT", [0, 0, 63.75, 127.5, 191.25, 255, 255]),
        ("LINEAR", [0, 0, 85, 170, 255, 255, 255]),
        ("SIGMOID", [12.09, 30.40, 68.58, 127.5, 186.42, 224.60, 242.91]),
    ],
)
def test_windows_are_those_of_dicom(function: str, expected: list[float]) -> None:
    np.testing.assert_allclose(apply_window(np.arange(-3, 4), 0, 4, function), expected, atol=0.01)


def test_sigmoid_far_away_does_not_overflow() -> None:
    with np.errstate(over="raise"):
        np.testing.assert_allclose(apply_window(np.array([-1e6, 1e6]), 0, 1, "SIGMOID"), [0, 255], atol=1e-9)


def test_own_display_is_used_unless_a_rule_is_declared() -> None:
    raw = RawImage(np.array([[1, 2]]), "DICOM", nominal=(0, 2), display=lambda values: values * 100.0)
    assert shown(raw) == [[100, 200]]
    assert shown(raw, intensity_range="full") == [[127.5, 255]]


def test_inverted_and_hidden_pixels() -> None:
    hidden = np.array([[False, False, True]])
    raw = RawImage(np.array([[0, 255, 0]], np.uint8), "DICOM", inverted=True, hidden=hidden)
    assert shown(raw) == [[255, 0, 0]]


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        (0, [[50, 100]]),
        (200, [[150, 100]]),
        ((200, 200, 200), [[150, 100]]),
        ((0, 200, 0), [[[50, 150, 50], [100] * 3]]),
    ],
)
def test_transparent_pixels_are_laid_on_the_background(background: object, expected: object) -> None:
    raw = RawImage(np.full((1, 2), 100, np.uint8), "PNG", alpha=np.array([[0.5, 1.0]]))
    np.testing.assert_array_equal(shown(raw, background=background), expected)


def test_opaque_alpha_needs_no_background() -> None:
    assert shown(RawImage(np.full((1, 1), 9, np.uint8), "PNG", alpha=np.ones((1, 1)))) == [[9]]


def test_fill_keeps_the_file_as_it_is() -> None:
    values = np.array([[np.nan, 1.0]])
    assert shown(RawImage(values, "TIFF"), intensity_range=(0, 1), fill_non_finite=0) == [[0, 255]]
    assert np.isnan(values[0, 0])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"intensity_range": (1, 1)}, "low < high"),
        ({"intensity_range": "auto"}, 'two numbers or "full" or "image", found \'auto\''),
        ({"intensity_range": (0, float("nan"))}, "two numbers"),
        ({"intensity_range": 3}, "two numbers"),
        ({"window": (40,)}, "window: must be two numbers, found"),
        ({"window": (40, 0)}, "width must be above 0"),
        ({"window": (40, 80), "intensity_range": "full"}, "choose one"),
        ({"background": 256}, "background: must be 0 to 255"),
        ({"background": (1, 2)}, "background: must be"),
        ({"fill_non_finite": float("inf")}, "fill_non_finite: must be a number"),
    ],
)
def test_wrong_rule_is_an_error(rules: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Rules(**rules)
