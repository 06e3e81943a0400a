from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.formats import is_image_file
from medmamba_monai.images.kinds import count_frames
from tests.helpers.dicom_files import dataset, item, save, table, write

U8 = np.array([[0, 10, 255]], np.uint8)
U16 = np.array([[0, 100, 200, 4095]], np.uint16)
HU = np.array([[-1000, 0, 40, 1000]], np.int16)
RGB = np.array([[[255, 0, 0], [0, 128, 0]]], np.uint8)
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}


def palette(entries: list[list[int]], bits: int) -> dict[str, object]:
    kind, found = (np.uint8 if bits == 8 else "<u2"), {}
    for color, values in zip(("Red", "Green", "Blue"), zip(*entries, strict=True), strict=True):
        found[f"{color}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        found[f"{color}PaletteColorLookupTableData"] = np.array(values, kind).tobytes()
    return found


def frames_with(**sequence: object) -> list[pydicom.Dataset]:
    return [item(**{name: [value]}) for name, values in sequence.items() for value in values]


# name: stored pixels, attributes, options, expected rows or (rows, columns, 3)
RIGHT: dict[str, tuple[np.ndarray, dict[str, object], dict[str, object], object]] = {
    "8-bit": (U8, {}, {}, [[0, 10, 255]]),
    "12 of 16 bits": (U16, {"BitsStored": 12}, {}, [[0, 6, 12, 255]]),
    "overlay in the high bits": (U16 | 0x8000, {"BitsStored": 12}, {}, [[0, 6, 12, 255]]),
    "signed without the bits above": (
        np.array([[0x800, 0x7FF]], np.uint16),
        {"BitsStored": 12, "PixelRepresentation": 1},
        {},
        [[0, 255]],
    ),
    "signed": (np.array([[-2048, 2047]], np.int16), {"BitsStored": 12}, {}, [[0, 255]]),
    "16-bit as HU, range": (
        np.array([[24, 1024]], np.uint16),
        {"RescaleSlope": 1, "RescaleIntercept": -1024},
        {"intensity_range": (-1000, 0)},
        [[0, 255]],
    ),
    "declared window": (HU, {"RescaleSlope": 1, "RescaleIntercept": 0}, {"window": (40, 80)}, [[0, 0, 128, 255]]),
    "declared window before its own": (
        HU,
        {"WindowCenter": 0, "WindowWidth": 9},
        {"window": (40, 80)},
        [[0, 0, 128, 255]],
    ),
    "range before its own window": (
        HU,
        {"WindowCenter": 0, "WindowWidth": 9},
        {"intensity_range": (-1000, 1000)},
        [[0, 128, 133, 255]],
    ),
    "full before its own window": (U8, {"WindowCenter": 0, "WindowWidth": 9}, {"intensity_range": "full"}, U8),
    "negative slope": (U8, {"RescaleSlope": -1, "RescaleIntercept": 0}, {}, [[255, 245, 0]]),
    "fractional slope": (
        U16,
        {"RescaleSlope": "0.1", "RescaleIntercept": 5},
        {"intensity_range": (5, 414.5)},
        [[0, 6, 12, 255]],
    ),
    "LINEAR": (np.array([[0, 1, 2, 3]], np.uint8), {"WindowCenter": 2, "WindowWidth": 4}, {}, [[0, 85, 170, 255]]),
    "LINEAR of width 1": (np.array([[0, 1, 2]], np.uint8), {"WindowCenter": 2, "WindowWidth": 1}, {}, [[0, 0, 255]]),
    "LINEAR_EXACT": (
        np.array([[0, 1, 2, 4]], np.uint8),
        {"WindowCenter": 2, "WindowWidth": 4, "VOILUTFunction": "LINEAR_EXACT"},
        {},
        [[0, 64, 128, 255]],
    ),
    "LINEAR_EXACT narrow": (
        U8,
        {"WindowCenter": 10, "WindowWidth": "0.5", "VOILUTFunction": "LINEAR_EXACT"},
        {},
        [[0, 128, 255]],
    ),
    "SIGMOID": (U8, {"WindowCenter": 10, "WindowWidth": 20, "VOILUTFunction": "SIGMOID"}, {}, [[30, 128, 255]]),
    "first of two windows": (
        np.array([[0, 1, 2, 3]], np.uint8),
        {"WindowCenter": [2, 9], "WindowWidth": [4, 99]},
        {},
        [[0, 85, 170, 255]],
    ),
    "empty window": (U8, {"WindowCenter": None, "WindowWidth": None}, {}, U8),
    "VOI LUT before a window": (
        np.array([[0, 5, 6, 9]], np.uint8),
        {"VOILUTSequence": [table(5, [0, 1023], 10)], "WindowCenter": 1, "WindowWidth": 2},
        {},
        [[0, 0, 255, 255]],
    ),
    "modality LUT": (
        np.array([[0, 1, 2]], np.uint8),
        {"ModalityLUTSequence": [table(0, [0, 257, 65535], 16)]},
        {},
        [[0, 1, 255]],
    ),
    "modality LUT from a negative value": (
        np.array([[-1, 0]], np.int16),
        {"ModalityLUTSequence": [table(-1, [65535, 0], 16)]},
        {},
        [[255, 0]],
    ),
    "MONOCHROME1": (U8, MONOCHROME1, {}, [[255, 245, 0]]),
    "MONOCHROME1 window": (
        np.array([[0, 1, 2, 3]], np.uint8),
        MONOCHROME1 | {"WindowCenter": 2, "WindowWidth": 4},
        {},
        [[255, 170, 85, 0]],
    ),
    "MONOCHROME1 range": (U8, MONOCHROME1, {"intensity_range": (0, 255)}, [[255, 245, 0]]),
    "padding": (HU, {"PixelPaddingValue": 1000}, {"window": (0, 100)}, [[0, 128, 230, 0]]),
    "padding outside of a range": (HU, {"PixelPaddingValue": -1000}, {"intensity_range": (0, 1000)}, [[0, 0, 10, 255]]),
    "padding of MONOCHROME1": (U8, MONOCHROME1 | {"PixelPaddingValue": 0}, {}, [[0, 245, 0]]),
    "range of padding": (
        U8,
        {"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 255},
        {"intensity_range": "image"},
        [[0, 0, 0]],
    ),
    "RGB": (RGB, {}, {}, RGB),
    "RGB in planes": (
        np.array([[[255, 0, 0], [128, 0, 0]]], np.uint8),
        {"PlanarConfiguration": 1, "Columns": 2, "Rows": 1},
        {},
        [[[255, 0, 0], [0, 128, 0]]],
    ),
    "16-bit RGB of 12 bits": (np.array([[[4095, 0, 2048]]], np.uint16), {"BitsStored": 12}, {}, [[[255, 0, 128]]]),
    "YBR_FULL": (
        np.array([[[76, 85, 255], [128, 128, 128]]], np.uint8),
        {"PhotometricInterpretation": "YBR_FULL"},
        {},
        [[[254, 0, 0], [128, 128, 128]]],
    ),
    "palette": (
        np.array([[0, 1, 7]], np.uint8),
        {"PhotometricInterpretation": "PALETTE COLOR", **palette([[255, 0, 0], [0, 9, 0]], 8)},
        {},
        [[[255, 0, 0], [0, 9, 0], [0, 9, 0]]],
    ),
    "16-bit palette, pixels beyond a byte": (
        np.array([[0, 257]], np.uint16),
        {"PhotometricInterpretation": "PALETTE COLOR", **palette([[65535, 0, 0], [0, 257, 0]], 16)},
        {},
        [[[255, 0, 0], [0, 1, 0]]],
    ),
    "32-bit": (np.array([[0, 2**32 - 1]], np.uint32), {}, {}, [[0, 255]]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_pixels_are_what_a_person_sees(tmp_path: Path, name: str) -> None:
    stored, attributes, options, expected = RIGHT[name]
    pixels = np.asarray(expected)
    path = write(tmp_path / "a", stored, **attributes)
    image = ReadImage(3 if pixels.ndim == 3 else 1, **options)(path)
    np.testing.assert_array_equal(image, np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[None])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_transfer_syntax_makes_no_difference(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", U16, syntax, BitsStored=12)
    np.testing.assert_array_equal(ReadImage(channels=1)(path), [[[0, 6, 12, 255]]])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("signed", [False, True])
def test_tables_are_read_in_every_encoding(tmp_path: Path, syntax: str, sequence: str, signed: bool) -> None:
    first, kind = (-1, np.int16) if signed else (0, np.uint16)
    tables = [table(first, [0, 257, 65535], 16)]
    tables[0]["LUTData"].VR = "OW"
    tables[0].LUTData = np.array([0, 257, 65535], ">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    path = write(tmp_path / "a.dcm", np.array([[first, first + 1, 9]], kind), syntax, **{sequence: tables})
    assert ReadImage(channels=1)(path).tolist() == [[[0, 1, 255]]]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_compression_makes_no_difference(tmp_path: Path, syntax: str) -> None:
    made = dataset(RAMP, BitsStored=12)
    made.compress(syntax)
    image = ReadImage(channels=1, dtype="float32")(save(made, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image[0], RAMP / 4095 * 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("SC_rgb_dcmtk_+eb+cr.dcm", 1),  # JPEG baseline, RGB
        ("SC_rgb_jpeg_dcmtk.dcm", 3),  # JPEG baseline, YBR_FULL
        ("SC_rgb_rle.dcm", 0),
        ("SC_rgb_rle_16bit.dcm", 0),
        ("SC_ybr_full_422_uncompressed.dcm", 3),
    ],
)
def test_colors_of_files_made_by_others(name: str, tolerance: int) -> None:
    image = ReadImage(channels=3)(get_testdata_file(name))
    np.testing.assert_allclose(image[:, 5, 50], [255, 0, 0], atol=tolerance)
    np.testing.assert_allclose(image[:, 95, 50], [255, 255, 255], atol=tolerance)


@pytest.mark.parametrize("big", [False, True])
def test_file_may_begin_with_its_first_attribute(tmp_path: Path, big: bool) -> None:
    syntax = ExplicitVRBigEndian if big else ImplicitVRLittleEndian
    made = dataset(U8, syntax)
    del made.file_meta
    pydicom.dcmwrite(tmp_path / "1.2.840", made, implicit_vr=not big, little_endian=not big)
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "1.2.840"), U8[None])
    assert is_image_file(tmp_path / "1.2.840")


def test_preamble_may_look_like_a_tiff(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", U8)
    path.write_bytes(b"II*\0\x08\0\0\0" + path.read_bytes()[8:])
    np.testing.assert_array_equal(ReadImage(channels=1)(path), U8[None])


def test_float_pixels_need_a_range(tmp_path: Path) -> None:
    made = dataset(U8)
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.BitsAllocated, made.FloatPixelData = 32, np.array([[0.0, 0.5, 1]], "<f4").tobytes()
    path = save(made, tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"float32 values from 0 to 1 .*declare"):
        ReadImage(channels=1)(path)
    np.testing.assert_array_equal(ReadImage(1, intensity_range=(0, 1))(path), [[[0, 128, 255]]])


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    made = dataset(np.zeros((1, 16), np.uint8), BitsAllocated=1, BitsStored=1)
    made.PixelData = b"\x01\x80"
    expected = [255] + [0] * 14 + [255]
    np.testing.assert_array_equal(ReadImage(channels=1)(save(made, tmp_path / "a.dcm")), [[expected]])


def test_enhanced_file_scales_each_frame_by_its_own_numbers(tmp_path: Path) -> None:
    own = [
        item(PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")])
        for slope in (1, 2)
    ]
    shared = [item(FrameVOILUTSequence=[item(WindowCenter="255.5", WindowWidth=512)])]
    path = write(
        tmp_path / "a.dcm",
        np.full((2, 1, 2), 100, np.uint16),
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=own,
        SharedFunctionalGroupsSequence=shared,
    )
    assert [int(ReadImage(1)(f"{path}#frame[{index}]")[0, 0, 0]) for index in (0, 1)] == [50, 100]


def test_frames_must_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.array([[[1, 1]], [[2, 2]]], np.uint8), NumberOfFrames=2)
    with pytest.raises(UserError, match="has 2 frames"):
        ReadImage(channels=1)(path)
    assert ReadImage(channels=1, frame=1)(path).tolist() == [[[2, 2]]]
    assert ReadImage(channels=1)(f"{path}#frame[0]").tolist() == [[[1, 1]]]
    assert count_frames(path) == 2


def test_lossless_jpeg_is_read() -> None:
    image = ReadImage(channels=3)(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    assert image[:, 5, 50].tolist() == [255, 0, 0]
