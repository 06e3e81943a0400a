"""What all figures share: text that fits, places in inches, and files that are the same each time."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from medmamba_monai.evaluation.figures import style as style
from tests.helpers.drawn_figures import margin, overlapping


def small_figure() -> Figure:
    figure = Figure()
    axes = figure.add_subplot()
    (line,) = axes.plot([0, 1], [0, 1])
    style.write_title(axes, "title")
    style.frame(axes, "x", "y")
    style.write_legend(axes, [(line, "$x$"), (line, r"$\frac")])
    axes.fill_between([0, 1], [0, 0.5])
    style.fit(figure, {axes: (0, 0, 2, 1)})
    return figure


def test_a_line_is_as_wide_as_it_is_drawn() -> None:
    figure = Figure()
    text = figure.text(0, 0, "MedMamba", fontsize=10)
    assert style.measure_text("MedMamba", 10) == pytest.approx(text.get_window_extent().width / figure.dpi, rel=0.03)


@pytest.mark.parametrize("text", ["MMMMMMMMMMMMMMMMMMMMMMMM", "illi " * 30, "colorectal adenocarcinoma epithelium"])
def test_wrapped_lines_fit(text: str) -> None:
    lines = style.wrap(text, 1.2).split("\n")
    assert len(lines) <= 2
    assert max(style.measure_text(line) for line in lines) <= 1.2


def test_wrapping_keeps_what_fits_and_marks_what_does_not() -> None:
    assert style.wrap("liver", 1) == "liver"
    assert style.wrap("kidney left", 0.7) == "kidney\nleft"
    assert style.wrap("immature granulocytes(myelocytes, metamyelocytes)", 1.9).startswith("immature\ngranulocytes(my")
    assert style.wrap("a b c d e f g h i j", 0.3)[-1] == "…"
    assert style.wrap("", 1) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.000"), (0.0001, "<0.001"), (0.9458, "0.946"), (0.99951, ">0.999"), (1, "1.000")]
)
def test_fractions_do_not_round_to_nothing_or_to_all(value: float, text: str) -> None:
    assert style.format_fraction(value) == text


def test_no_two_classes_look_alike() -> None:
    assert len({str(style.choose_line_style(index)) for index in range(12)}) == 12
    assert len({str(style.choose_marker_style(index)) for index in range(42)}) == 42


def test_neighboring_colors_differ_in_gray() -> None:
    gray = [float(np.dot(to_rgb(color), [0.299, 0.587, 0.114])) for color in style.COLORS]
    assert min(abs(first - second) for first, second in itertools.pairwise(gray)) > 0.1


def test_axes_get_their_size_and_text_its_room() -> None:
    figure = small_figure()
    box = figure.axes[0].get_position()
    assert (box.size * figure.get_size_inches()).tolist() == pytest.approx([2, 1])
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_crowded_text_is_found() -> None:
    figure = small_figure()
    ticks = figure.axes[0].get_xticklabels()
    figure.axes[0].annotate("over a tick", (0, 0), xycoords=ticks[1])
    assert overlapping(figure) == [("over a tick", ticks[1].get_text())]
    figure.axes[0].text(3, 0, "far outside")
    assert margin(figure) < 0


def test_a_long_title_is_broken() -> None:
    axes = Figure().add_subplot()
    style.write_title(axes, "MedMamba-T on a dataset with quite a long name, fold 0, test set")
    assert axes.get_title().count("\n") == 1


def test_a_legend_is_filled_row_by_row() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    lines = [(axes.plot(0, 0)[0], name) for name in "abcdefg"]
    style.write_legend(axes, lines, columns=3)
    figure.draw_without_rendering()
    texts = axes.get_legend().get_texts()
    by_place = sorted(texts, key=lambda text: (-round(text.get_window_extent().y0, -1), text.get_window_extent().x0))
    assert "".join(text.get_text() for text in by_place) == "abcdefg"


def test_the_same_figure_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (style.save_figure(small_figure(), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_saving_in_threads_gives_the_same_files_and_leaves_settings_alone(tmp_path: Path) -> None:
    settings = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda index: style.save_figure(small_figure(), tmp_path / str(index)), range(8)))
    assert len({svg.read_bytes() for _, svg in files}) == len({png.read_bytes() for png, _ in files}) == 1
    assert dict(matplotlib.rcParams) == settings


def test_the_vector_file_has_no_date(tmp_path: Path) -> None:
    svg = style.save_figure(small_figure(), tmp_path / "figure")[1].read_text(encoding="utf-8")
    assert "dc:date" not in svg
