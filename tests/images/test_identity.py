from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.transforms import Compose, EnsureTyped

from medmamba_monai.core import versions
from medmamba_monai.core.errors import UserError
from medmamba_monai.images import (
    ConvertImage,
    ConvertImaged,
    ReadImage,
    ReadImaged,
    ResizeImage,
    ResizeImaged,
    ToUint8d,
)
from medmamba_monai.images import identity as module
from medmamba_monai.images.identity import identify_transform
from medmamba_monai.images.read import READING_VERSION
from tests.helpers.small_bundle import ROOT, run_command

OPTIONS: list[dict[str, Any]] = [
    {},
    {"spatial_dims": 3},
    {"dtype": "float32"},
    {"intensity_range": (100, 150)},
    {"window": (40, 400)},
    {"clip": True},
    {"background": 0},
    {"frame": "all"},
    {"fill_non_finite": 0},
    {"spatial_dims": 3, "field_of_view": 100},
    {"spatial_dims": 3, "field_of_view": (100, 100, 90)},
    {"max_pixels": 9},
    {"max_bytes": 9},
]


def test_every_option_of_reading_counts() -> None:
    for kind in (lambda **options: ReadImage(1, **options), lambda **options: ReadImaged("image", 1, **options)):
        assert len({identify_transform(kind(**options)) for options in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ReadImaged("image", 1), ReadImaged("image", 3)),
        (ReadImaged("image", 1), ReadImaged("picture", 1)),
        (ResizeImage((8, 8)), ResizeImage((8, 9))),
        (ResizeImaged("image", (8, 8)), ResizeImaged("image", (8, 9))),
        (ConvertImage(1), ConvertImage(3)),
        (ConvertImaged("image", 1), ConvertImaged("image", 3)),
        (ToUint8d("image"), ToUint8d("picture")),
        ([ToUint8d("image"), ConvertImage(1)], [ConvertImage(1), ToUint8d("image")]),
        (None, ToUint8d("image")),
    ],
)
def test_other_transforms_have_another_identity(one: Any, other: Any) -> None:
    assert identify_transform(one) != identify_transform(other)


def test_a_composition_is_what_it_is_made_of() -> None:
    parts = [ReadImaged("image", 1), ResizeImaged("image", (8, 8))]
    assert identify_transform(Compose([parts[0], Compose(parts[1])])) == identify_transform(parts)


def test_the_rules_of_reading_and_the_decoders_count() -> None:
    found = identify_transform(None).split("; ")
    assert found[0] == f"reading {READING_VERSION}"
    assert {f"{name} {version(name)}" for name in ("pillow", "pydicom", "nibabel", "torch")} <= set(found)


def test_another_version_of_a_decoder_is_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify_transform(None)
    monkeypatch.setattr(versions, "version", lambda name: "99")
    module._list_versions.cache_clear()
    after = identify_transform(None)
    module._list_versions.cache_clear()
    assert before != after


class Scale:
    """Tells its options."""

    def __init__(self, factors: np.ndarray) -> None:
        self.factors = factors

    def __repr__(self) -> str:
        return f"Scale({self.factors})"


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (lambda item: item, "<lambda>"),
        (EnsureTyped("image"), "EnsureTyped"),
        (Scale(np.arange(9999)), "Scale"),
    ],
)
def test_what_does_not_tell_its_options_is_refused(part: Any, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} does not tell its options: give it a __repr__"):
        identify_transform(Compose([ToUint8d("image"), part]))
    assert identify_transform(Scale(np.arange(3))).startswith("Scale([0 1 2]); ")


@pytest.mark.slow
def test_another_process_finds_the_same_identity(tmp_path: Path) -> None:
    code = (
        "from medmamba_monai.images import ReadImaged; from medmamba_monai.images.identity import identify_transform;"
        "print(identify_transform(ReadImaged('image', 1, window=(40, 400))))"
    )
    _, found = run_command([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(ROOT))
    assert found.splitlines()[-1:] == [identify_transform(ReadImaged("image", 1, window=(40, 400)))], found
