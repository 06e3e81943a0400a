from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.names import LONGEST_NAME, FrameReference, format_path, make_file_name
from medmamba_monai.images import ReadImage


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("scan.png", "scan.png"),
        ("München/é.png", "München/é.png"),
        (os.fsdecode(b"a\xff.png"), "a\\xff.png"),
        ("a\ud800.png", "a\\ud800.png"),
        ("a\nb.png", "a\\nb.png"),
        (Path("a") / "b", "a/b"),
    ],
)
def test_every_name_can_be_printed(path: str, expected: str) -> None:
    assert format_path(path) == expected
    format_path(path).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.gif#frame[3]", FrameReference("a.gif", 3)),
        ("a#b.gif#frame[0]", FrameReference("a#b.gif", 0)),
        ("a.gif", None),
        ("a.gif#frame[-1]", None),
        ("a.gif#images[1]", None),
    ],
)
def test_frame_reference(text: str, expected: FrameReference | None) -> None:
    assert FrameReference.parse(text) == expected
    assert expected is None or str(expected) == text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_name_that_is_not_utf_8_is_read_and_named(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")  # noqa: PTH118
    Image.fromarray(np.full((1, 1), 9, np.uint8)).save(path, "PNG")
    assert ReadImage(channels=1)(os.fsdecode(path)).tolist() == [[[9]]]
    Path(os.fsdecode(path)).write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"/\\xff\.png: is damaged"):
        ReadImage(channels=1)(os.fsdecode(path))


@given(st.text(st.characters()))
def test_whatever_a_file_is_called_becomes_one_printable_line(name: str) -> None:
    shown = format_path(name)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown


@pytest.mark.parametrize("text", ["first", "Chest X-ray (PneumoniaMNIST), 2", "MedMamba_vs_ResNet", "Größe=3"])
def test_a_text_that_is_a_file_name_stays_as_it_is(text: str) -> None:
    assert make_file_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "../../x", "/etc/passwd", "a/b", "a\\b", "C:\\x", "~", "-rf", ".hidden", "end.", "end "),
        *("a\0b", "a\nb", "con", "LPT1.txt", "x" * 300, "ä" * 100, "\u202egnp", "\udcff", "@x", "$x", "a#b", "a%b"),
    ],
)
def test_any_other_text_becomes_a_name_of_its_own_inside_its_folder(tmp_path: Path, text: str) -> None:
    name = make_file_name(text)
    (tmp_path / name).write_text("")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert name != text
    assert not name.startswith((".", "-"))
    assert len(name.encode()) <= LONGEST_NAME
    assert make_file_name(f"{text}?") != make_file_name(f"{text}!")


def test_what_fire_makes_of_a_name_is_that_name() -> None:
    assert [make_file_name(name) for name in (2024, 0.5, ("a", "b"))] == ["2024", "0.5", "a,b"]


@given(st.text(st.characters()))
def test_whatever_a_text_says_its_file_name_is_one_name_that_stays(text: str) -> None:
    name = make_file_name(text)
    assert Path(name).name == name
    assert make_file_name(name) == name
    assert 0 < len(name.encode()) <= LONGEST_NAME
