"""Maps over images: lines where they belong, told apart without color, and planes as radiologists see them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from medmamba_monai.evaluation.figures.maps import SHARES, Tile, choose_levels, choose_planes, draw_maps
from tests.helpers.drawn_figures import margin, overlapping

IMAGE = np.full((48, 48), 128, np.uint8)


def make_map(sign: float = 1.0, edge: int = 48) -> np.ndarray:
    """A bump in the upper left quarter, and one of the other sign, half as high, in the lower right."""
    down, right = np.meshgrid(np.arange(edge), np.arange(edge), indexing="ij")
    bumps = [np.exp(-((down - at) ** 2 + (right - at) ** 2) / (edge / 4) ** 2) for at in (edge / 4, 3 * edge / 4)]
    return np.asarray(sign * (bumps[0] - 0.5 * bumps[1]), np.float32)


def find_lines(figure: Figure) -> list[QuadContourSet]:
    return [drawn for drawn in figure.axes[0].collections if isinstance(drawn, QuadContourSet) and not drawn.filled]


def test_what_speaks_for_and_against_is_told_apart_by_the_dashes() -> None:
    above, below = find_lines(draw_maps([Tile(IMAGE, ["a"], make_map())], 1, "maps"))
    assert above.linestyles == "solid"
    assert below.linestyles == "dashed"
    assert (above.get_paths()[0].vertices.mean(0) < 20).all()
    assert (below.get_paths()[0].vertices.mean(0) > 28).all()


def test_a_coarse_map_lies_where_a_fine_one_does() -> None:
    fine, coarse = (find_lines(draw_maps([Tile(IMAGE, ["a"], make_map(edge=e))], 1, ""))[0] for e in (48, 24))
    assert fine.get_paths()[0].vertices.mean(0) == pytest.approx(coarse.get_paths()[0].vertices.mean(0), abs=1)


def test_lines_surround_little_of_a_map_that_is_nearly_even() -> None:
    even = 10 + abs(make_map())
    thin, thick = choose_levels(even)
    assert (even > thin).mean() == pytest.approx(SHARES[0], abs=0.01)
    assert (even > thick).mean() == pytest.approx(SHARES[1], abs=0.01)
    (lines,) = find_lines(draw_maps([Tile(IMAGE, ["a"], even)], 1, ""))
    assert len(lines.levels) == 2
    assert all(lines.allsegs)


def test_a_map_with_one_peak_has_lines_at_parts_of_its_height() -> None:
    peak = make_map() ** 8
    assert choose_levels(peak) == pytest.approx([0.35 * peak.max(), 0.7 * peak.max()])


def test_a_map_of_nothing_has_no_lines() -> None:
    assert find_lines(draw_maps([Tile(IMAGE, ["a"], np.zeros((48, 48), np.float32))], 1, "")) == []


@pytest.mark.parametrize(
    ("values", "place", "note"),
    [
        (abs(make_map()), None, "orange, solid: for the class"),
        (make_map(), None, "orange, solid: for the class; purple, dashed: against it"),
        (abs(make_map()), IMAGE[:, :] > 0, "orange, solid: for the class; white, dotted: where the finding is"),
    ],
)
def test_the_note_says_what_is_drawn(values: np.ndarray, place: np.ndarray | None, note: str) -> None:
    figure = draw_maps([Tile(IMAGE, ["a"], values, place)], 1, "")
    assert figure.axes[-1].get_xlabel().replace("\n", " ") == note


def test_text_stays_inside_and_apart() -> None:
    tiles = [Tile(IMAGE, ["0.930 pneumonia with effusion", "true: normal", "test_00007"], make_map())] * 5
    figure = draw_maps(tiles, 3, "What speaks for the class")
    assert margin(figure) == pytest.approx(0.1, abs=0.02)
    assert overlapping(figure) == []


def test_planes_go_through_the_largest_value_and_lie_as_radiologists_see_them() -> None:
    volume = np.zeros((1, 8, 10, 12), np.uint8)
    volume[0, 7, 9, 11] = 255  # the patient's right, front and top
    values = np.zeros((8, 10, 12), np.float32)
    values[7, 9, 11] = 1
    planes = {name: (image, found) for name, image, found in choose_planes(volume, values)}
    assert list(planes) == ["axial", "coronal", "sagittal"]
    assert [image.shape for image, _ in planes.values()] == [(1, 10, 8), (1, 12, 8), (1, 12, 10)]
    for image, found in planes.values():  # right, and in sagittal planes front, are on the left; front and top are up
        assert image[0, 0, 0] == 255
        assert found[0, 0] == 1


def test_planes_of_a_coarse_map_are_those_of_its_place_in_the_volume() -> None:
    volume = np.arange(8, dtype=np.uint8)[None, :, None, None].repeat(8, 2).repeat(8, 3)
    values = np.zeros((4, 4, 4), np.float32)
    values[2] = 1
    sagittal = choose_planes(volume, values)[2][1]
    assert set(sagittal.ravel()) <= {4, 5}
