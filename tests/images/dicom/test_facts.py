from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medmamba_monai.images.read import describe_image
from tests.helpers.dicom_files import table, write

U8 = np.array([[0, 10, 255]], np.uint8)
U16 = np.array([[0, 100, 200, 4095]], np.uint16)
HU = np.array([[-1000, 0, 40, 1000]], np.int16)


def test_facts_are_in_rescaled_units(tmp_path: Path) -> None:
    attributes = {"RescaleSlope": 1, "RescaleIntercept": -24, "WindowCenter": 40, "WindowWidth": 400}
    facts = describe_image(write(tmp_path / "a.dcm", HU, **attributes))
    assert facts.kind == "DICOM CT, 16-bit signed, MONOCHROME2"
    assert (facts.minimum, facts.maximum, facts.nominal) == (-1024, 976, (-32792, 32743))
    assert (facts.window, facts.shape, facts.channels) == ((40, 400), (1, 4), 1)


@pytest.mark.parametrize(
    ("pixels", "attributes", "expected"),
    [
        (U8, {}, (True, "full range", False, None)),
        (HU, {}, (False, "full range", False, None)),
        (HU, {"WindowCenter": 40, "WindowWidth": 400}, (True, "window 40, 400", False, (40, 400))),
        (
            HU,
            {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
            (True, "window 40, 400, SIGMOID", False, (40, 400)),
        ),
        (HU, {"WindowCenter": 40, "WindowWidth": 0}, (False, "window 40, 0", True, (40, 0))),
        (
            U16,
            {"VOILUTSequence": [table(5, [0, 1023], 10)], "WindowCenter": 1, "WindowWidth": 2},
            (True, "VOI LUT from 5 (d1e0ad0d)", False, None),
        ),
    ],
)
def test_facts_tell_how_a_file_is_shown(
    tmp_path: Path, pixels: np.ndarray, attributes: dict[str, object], expected: tuple[object, ...]
) -> None:
    facts = describe_image(write(tmp_path / "a.dcm", pixels, **attributes))
    assert (facts.has_display, facts.display, facts.needs_range, facts.window) == expected


def test_facts_of_nothing_but_padding_have_no_values(tmp_path: Path) -> None:
    facts = describe_image(write(tmp_path / "a.dcm", HU * 0 - 2000, PixelPaddingValue=-2000))
    assert np.isnan([facts.minimum, facts.maximum]).all()
