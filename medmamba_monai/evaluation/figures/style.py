"""The style that makes figures alike: ink, colors, line styles, sizes and how they are saved.

Colors are those of Okabe and Ito, told apart with any color vision; lines differ in their dashes and points in their
shape too. Every text that a user wrote is drawn as it is: a class may be called ``$x$``.

matplotlib is imported where it is used, and only its object-oriented part: no pyplot, no window, no global state, so
that figures can be drawn in any thread.
"""

from __future__ import annotations

import functools
import io
import os
import textwrap
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medmamba_monai.core.files import replace_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

FONT_SIZE = 10.0
"""Points, for every text but titles; figures are kept small so that this stays readable when they are shrunk."""

PNG_DPI = 200
"""Dots per inch of the PNG file."""

SEQUENTIAL_COLORS = "Blues"
"""One hue from light to dark: told apart by lightness alone, so also without color vision and in print."""

DARK_PERCENT = 55.0
"""Of `SEQUENTIAL_COLORS`: above it, white is easier to read than ink."""

INK, FAINT_INK, GRID = "#222222", "#8a8a8a", "#dddddd"
BLUE, VERMILLION = "#0072B2", "#D55E00"
COLORS = (BLUE, "#E69F00", "#009E73", "#CC79A7", VERMILLION, "#56B4E9")  # dark and light in turn
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DOTS = (0, (1, 1.2))

Box = tuple[float, float, float, float]
"""Left, bottom, width and height in inches."""

Entry = tuple[Any, str]
"""What a legend shows, and its name."""

Key = tuple[dict[str, Any], str]
"""Style of a line in a legend, and its name."""

_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
_MARGIN_INCHES = 0.1
_ROOM = 0.02  # of an axis from 0 to 1
_TITLE_INCHES, _TICKS_INCHES = 3.4, 0.52
_SALT = "medmamba_monai"  # in place of a random one in the identifiers of an SVG file
_saving = threading.Lock()


def choose_line_style(index: int) -> dict[str, Any]:
    """Return color and dashes of a class: no two of the first twelve share both."""
    return {"color": COLORS[index % len(COLORS)], "linestyle": _DASHES[index % len(_DASHES)]}


def choose_marker_style(index: int) -> dict[str, Any]:
    """Return color and marker of a fold: no two of the first 42 share both."""
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}


def measure_text(text: str, size: float = FONT_SIZE) -> float:
    """Return how wide one line of text is drawn, in inches, at a size in points."""
    from matplotlib.font_manager import FontProperties

    return _measure(text, FontProperties(size=size))


@functools.lru_cache(maxsize=4096)  # the figures of an evaluation share titles and classes
def _measure(text: str, font: FontProperties) -> float:
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def wrap(text: str, inches: float, lines: int = 2, size: float = FONT_SIZE) -> str:
    """Break a text into lines of at most this width; what goes beyond the last line becomes ``…``."""
    for letters in range(max(len(text), 4), 3, -1):
        wrapped = textwrap.wrap(text, letters)
        if all(measure_text(line, size) <= inches for line in wrapped):
            break
    if len(wrapped) > lines:
        last = " ".join(wrapped[lines - 1 :])
        while last and measure_text(f"{last}…", size) > inches:
            last = last[:-1].rstrip()
        wrapped[lines - 1 :] = [f"{last}…"]
    return "\n".join(wrapped)


def format_fraction(value: float) -> str:
    """Three digits, never 1.000 for less than 1 nor 0.000 for more than 0."""
    if 0.9995 <= value < 1:
        return ">0.999"
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def write_title(axes: Axes, title: str, inches: float = _TITLE_INCHES, **options: Any) -> None:
    """Write a title above axes, wrapped where it is wider than this many inches."""
    size = FONT_SIZE + 1
    lines = wrap(title, max(inches, _TITLE_INCHES), lines=3, size=size)
    axes.set_title(lines, fontsize=size, color=INK, parse_math=False, **options)


def frame(axes: Axes, xlabel: str = "", ylabel: str = "") -> None:
    """Name the axes, lay a faint grid and take away the box around them."""
    axes.set_xlabel(xlabel, fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE, color=INK)
    axes.tick_params(labelsize=FONT_SIZE, labelcolor=INK, length=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def limit_axis(axes: Axes, axis: str) -> None:
    """Let the axis ``x`` or ``y`` go from 0 to 1, with room for lines along the ends."""
    ticks = (0, 0.25, 0.5, 0.75, 1)
    axes.set(**{f"{axis}lim": (-_ROOM, 1 + _ROOM), f"{axis}ticks": ticks})
    axes.set(**{f"{axis}ticklabels": [f"{tick:g}" for tick in ticks]})


def limit_square(axes: Axes) -> None:
    """Let both axes go from 0 to 1 at equal scale."""
    limit_axis(axes, "x")
    limit_axis(axes, "y")
    axes.set_aspect("equal")


def write_legend(axes: Axes, entries: Sequence[Entry], title: str = "", columns: int = 1) -> None:
    """Put a legend below the axes' ticks and label, where it covers no data, in rows of so many columns."""
    by_rows = [entry for column in range(columns) for entry in entries[column::columns]]
    legend = axes.legend(
        [handle for handle, _ in by_rows],
        [name for _, name in by_rows],
        title=title,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=columns,
        frameon=False,
        fontsize=FONT_SIZE,
        title_fontsize=FONT_SIZE,
        labelcolor=INK,
        handlelength=2.6,
        columnspacing=1.2,
        labelspacing=0.35,
        borderpad=0,
        borderaxespad=_TICKS_INCHES * 72 / FONT_SIZE,
        alignment="left",
    )
    legend.get_title().set_color(INK)
    for text in legend.get_texts():
        text.set_parse_math(False)


def list_fold_keys(folds: Iterable[int]) -> list[Key]:
    """Return marker and name of each fold for a legend; a fold looks the same in all figures."""
    return [({**choose_marker_style(fold), "linestyle": "none"}, f"fold {fold}") for fold in sorted(folds)]


def write_key_legend(axes: Axes, keys: Sequence[Key]) -> None:
    """Draw a legend of styles and names below the axes, in three columns."""
    from matplotlib.lines import Line2D

    write_legend(axes, [(Line2D([], [], **style), name) for style, name in keys], columns=3)


def fit(figure: Figure, boxes: Mapping[Axes, Box]) -> None:
    """Give axes their places and sizes in inches and the figure the size that they and all their text need."""
    _place(
        figure, boxes, 0, 0, max(x + w for x, _, w, _ in boxes.values()), max(y + h for _, y, _, h in boxes.values())
    )
    needed = figure.get_tightbbox()
    width, height = needed.width + 2 * _MARGIN_INCHES, needed.height + 2 * _MARGIN_INCHES
    _place(figure, boxes, _MARGIN_INCHES - needed.x0, _MARGIN_INCHES - needed.y0, width, height)


def save_figure(figure: Figure, path_stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``<path_stem>.png`` and ``<path_stem>.svg``, each atomically; the same figure gives the same bytes.

    Returns:
        The paths of the two files.

    Raises:
        UserError: a file cannot be written.
    """
    import matplotlib

    stem = Path(path_stem)
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    save_png(figure, png)
    with replace_atomically(svg) as temporary, _saving, matplotlib.rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(temporary, dpi=PNG_DPI, metadata={"Date": None})
    return png, svg


def save_png(figure: Figure, path: Path) -> None:
    """Write a PNG file alone, atomically.

    Raises:
        UserError: it cannot be written.
    """
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=PNG_DPI, format="png")


def render(figure: Figure) -> NDArray[np.uint8]:
    """Return what `save_png` would write, uint8 (rows, columns, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=PNG_DPI, format="png")
    with Image.open(buffer) as picture:
        return np.asarray(picture.convert("RGB"))


def _place(figure: Figure, boxes: Mapping[Axes, Box], left: float, bottom: float, width: float, height: float) -> None:
    figure.set_size_inches(width, height)
    for axes, (x, y, across, up) in boxes.items():
        axes.set_position(((left + x) / width, (bottom + y) / height, across / width, up / height))
