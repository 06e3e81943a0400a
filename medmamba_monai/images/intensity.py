"""Scaling of a file's values to 0 to 255, by rules that are declared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.window import apply_window
from medmamba_monai.images.raw_image import RawImage

IntensityRange = tuple[float, float] | Literal["full", "image"] | None
Background = int | tuple[int, int, int] | None


@dataclass(frozen=True)
class Rules:
    """How values become 0 to 255; the meaning of each is told in :class:`~medmamba_monai.images.ReadImage`.

    Raises:
        UserError: a rule is not one of the allowed, or two contradict each other.
    """

    intensity_range: IntensityRange = None
    window: tuple[float, float] | None = None
    clip: bool = False
    background: Background = None
    fill_non_finite: float | None = None

    def __post_init__(self) -> None:
        if self.window is not None:
            _, width = _check_two_numbers("window", self.window)
            if width <= 0:
                raise UserError(f"window: the width must be above 0, found {width!r}")
            if self.intensity_range is not None:
                raise UserError("window: is declared beside intensity_range; choose one")
        if self.intensity_range not in (None, "full", "image"):
            low, high = _check_two_numbers("intensity_range", self.intensity_range)
            if low >= high:
                raise UserError(f"intensity_range: must be (low, high) with low < high, found {(low, high)}")
        if self.background is not None:
            _check_background(self.background)
        if self.fill_non_finite is not None and not math.isfinite(self.fill_non_finite):
            raise UserError(f"fill_non_finite: must be a number, found {self.fill_non_finite!r}")


def _check_two_numbers(option: str, value: object) -> tuple[float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        first, second = value
        if all(isinstance(part, (int, float)) and math.isfinite(part) for part in (first, second)):
            return first, second
    words = ' or "full" or "image"' if option == "intensity_range" else ""
    raise UserError(f"{option}: must be two numbers{words}, found {value!r}")


def _check_background(value: object) -> None:
    parts = value if isinstance(value, (tuple, list)) and len(value) == 3 else [value]
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
        raise UserError(f"background: must be 0 to 255, or three of them (red, green, blue), found {value!r}")


def scale_to_display(raw: RawImage, rules: Rules, name: str) -> tuple[np.ndarray, bool]:
    """Bring a decoded image to the scale 0 to 255.

    Args:
        raw: the image, (rows, columns) or (x, y, z), one axis more for RGB.
        rules: what is declared.
        name: the file, for errors.

    Returns:
        Array of the same axes, uint8 or floating point, values 0 to 255, not rounded; and whether its last axis is
        RGB, which a colored background makes of a gray image.

    Raises:
        UserError: the rules do not say what to do with these values; names the file, the value and what to declare.
    """
    shown = _scale(raw, _fill_non_finite(raw, rules, name), rules, name)
    if raw.inverted:
        shown = 255 - shown
    if raw.hidden is not None:
        shown = np.where(raw.hidden, np.zeros((), shown.dtype), shown)
    return _lay_on_background(shown, raw, rules.background, name)


def _fill_non_finite(raw: RawImage, rules: Rules, name: str) -> np.ndarray:
    if raw.values.dtype.kind != "f":
        return raw.values
    bad = ~np.isfinite(raw.values)
    count = int(bad.sum())
    if not count:
        return raw.values
    if rules.fill_non_finite is None:
        raise UserError(
            f"{name}: {count} values are NaN or infinite; declare fill_non_finite, the value to use instead"
        )
    return np.where(bad, raw.values.dtype.type(rules.fill_non_finite), raw.values)


def _scale(raw: RawImage, values: np.ndarray, rules: Rules, name: str) -> np.ndarray:
    if rules.window is not None:
        if raw.color:
            raise UserError(f"{name}: is {raw.kind}; window {rules.window} is for gray values, remove one of the two")
        return apply_window(values, *rules.window)
    if rules.intensity_range is None and raw.display is not None:
        return raw.display(values)
    low, high = _choose_range(raw, values, rules, name)
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    if low == high:
        return np.zeros(values.shape)
    if rules.clip:
        return _scale_linearly(np.clip(values, low, high), low, high)
    _check_inside(raw, values, low, high, name)
    scaled = _scale_linearly(values, low, high)
    return np.clip(scaled, 0, 255, out=scaled)  # only padding can be outside


def _choose_range(raw: RawImage, values: np.ndarray, rules: Rules, name: str) -> tuple[float, float]:
    if isinstance(rules.intensity_range, (tuple, list)):
        return rules.intensity_range
    seen = values if raw.hidden is None else values[~raw.hidden]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    if rules.intensity_range == "image":
        return low, high
    if raw.nominal is not None and (raw.has_default or rules.intensity_range == "full"):
        return raw.nominal
    found = f"holds {raw.values.dtype} values from {low:g} to {high:g} ({raw.kind})"
    full = "" if raw.nominal is None else ', "full"'
    raise UserError(
        f'{name}: {found}; declare what is black and white: intensity_range=({low:g}, {high:g}){full} or "image"'
    )


def _check_inside(raw: RawImage, values: np.ndarray, low: float, high: float, name: str) -> None:
    seen = values if raw.hidden is None else values[~raw.hidden]
    if seen.size and (seen.min() < low or seen.max() > high):
        wrong = float(seen.min() if seen.min() < low else seen.max())
        raise UserError(
            f"{name}: the value {wrong:g} is outside of {low:g} to {high:g} ({raw.kind}); declare a wider "
            "intensity_range, or clip=True to cut it off"
        )


def _scale_linearly(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = values.astype(np.float64)
    scaled -= low
    scaled *= 255
    scaled /= high - low
    return scaled


def _lay_on_background(shown: np.ndarray, raw: RawImage, background: Background, name: str) -> tuple[np.ndarray, bool]:
    if raw.alpha is None or not (raw.alpha < 1).any():
        return shown, raw.color
    if background is None:
        count = int((raw.alpha < 1).sum())
        raise UserError(f"{name}: {count} pixels are transparent; declare background, the gray or color behind them")
    behind = np.asarray(background, np.float64)
    color = raw.color or (behind.ndim == 1 and bool((behind != behind[0]).any()))
    if not color:
        return shown * raw.alpha + behind.reshape(-1)[0] * (1 - raw.alpha), False
    alpha = raw.alpha[..., None]
    return (shown if raw.color else shown[..., None]) * alpha + behind * (1 - alpha), True
