from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.read import read_dicom
from medmamba_monai.images.dicom.series import read_series
from medmamba_monai.images.raw_image import Limits, RawImage, describe_raw_image
from tests.helpers.dicom_files import VALUES, WHOLE, encode_file

ITEM = b"\xfe\xff\0\xe0\x08\0\0\0" + b"\x28\0\x10\0US\2\0"
BROKEN = {
    "nothing": b"",
    "blanks": b"  ",
    "zeros": bytes(2),
    "a letter": b"x ",
    "words": b"Secret Name of a patient",
    "two texts": b"1\\x\\",
    "four bytes": b"\xff\xfe\xfd\xfc",
    "odd": b"\x01",
    "not a number": b"nan ",
    "too much": b"1e999 ",
    "an item": ITEM + bytes(2),
    "a cut item": ITEM,
}
NAMED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")


def write(path: Path, elements: dict[str, tuple[str, bytes]], implicit: bool = False) -> Path:
    path.write_bytes(encode_file(elements, ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian, implicit))
    return path


def attempt(read: Callable[[], RawImage]) -> tuple[RawImage | None, str]:
    try:
        return read(), ""
    except UserError as error:
        return None, str(error)


def test_the_whole_header_gives_the_pixels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_dicom(write(tmp_path / "a.dcm", WHOLE), None, Limits()).values, VALUES)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("keyword", [keyword for keyword in WHOLE if keyword != "PixelData"])
def test_a_broken_attribute_gives_the_right_pixels_or_one_error_that_names_the_file(
    tmp_path: Path, keyword: str, implicit: bool
) -> None:
    vr, _ = WHOLE[keyword]
    broken = [WHOLE | {keyword: (kind, value)} for value in BROKEN.values() for kind in dict.fromkeys((vr, "LO", "UN"))]
    broken.append({name: value for name, value in WHOLE.items() if name != keyword})
    warnings.simplefilter("ignore")
    for elements in broken:
        path = write(tmp_path / "a.dcm", elements, implicit)
        raw, said = attempt(lambda path=path: read_dicom(path, None, Limits()))
        assert said.startswith(f"{path}: ") or raw is not None
        assert "Secret" not in said
        if raw is not None:
            np.testing.assert_array_equal(raw.values, VALUES)
            describe_raw_image(raw)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "SeriesInstanceUID", "Rows"])
@pytest.mark.parametrize("value", list(BROKEN.values()), ids=list(BROKEN))
def test_a_volume_of_broken_slices_is_an_error_or_right(tmp_path: Path, keyword: str, value: bytes) -> None:
    for index in range(2):
        place = {"ImagePositionPatient": ("DS", f"0\\0\\{index} ".encode())}
        write(tmp_path / f"{index}.dcm", WHOLE | place | {keyword: (WHOLE[keyword][0], value)})
    raw, said = attempt(lambda: read_series(tmp_path, Limits()))
    assert str(tmp_path) in said or raw is not None
    if raw is not None:
        np.testing.assert_array_equal(raw.values[::-1, ::-1, 0].T, VALUES)


@pytest.mark.parametrize("keyword", NAMED)
@pytest.mark.parametrize("value", [b"\1", b"", None])
def test_the_message_names_the_attribute(tmp_path: Path, keyword: str, value: bytes | None) -> None:
    elements = {name: found for name, found in WHOLE.items() if name != keyword}
    if value is not None:
        elements[keyword] = (WHOLE[keyword][0], value)
    with pytest.raises(UserError, match=rf"a\.dcm: its attribute {keyword} (is|has) .*; correct it, convert the file"):
        read_dicom(write(tmp_path / "a.dcm", elements), None, Limits())


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "NumberOfFrames", "PixelPaddingValue"])
def test_an_optional_attribute_that_is_no_number_is_named(tmp_path: Path, keyword: str) -> None:
    path = write(tmp_path / "a.dcm", WHOLE | {keyword: ("LO", b"Secret")})
    with pytest.raises(UserError, match=f"its attribute {keyword} (is|has)") as caught:
        read_dicom(path, None, Limits())
    assert "Secret" not in str(caught.value)


def test_a_broken_window_is_told_and_another_may_be_declared(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", WHOLE | {"WindowWidth": ("DS", b"x ")})
    raw = read_dicom(path, None, Limits())
    assert describe_raw_image(raw).needs_range
    assert raw.display is not None
    with pytest.raises(UserError, match=r"a\.dcm: its attribute WindowWidth .*; declare window or intensity_range"):
        raw.display(raw.values)


def test_frames_without_end_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    elements = WHOLE | {"NumberOfFrames": ("IS", b"2147483647"), "Rows": ("US", struct.pack("<H", 1))}
    with pytest.raises(UserError, match="2147483647 frames, more than the 65536 that are read"):
        read_dicom(write(tmp_path / "a.dcm", elements), 0, Limits())
