from __future__ import annotations

import contextlib
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels.decoders import JPEGLSLosslessDecoder
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.kinds import count_frames, is_image_file
from medmamba_monai.images.read import describe_image
from tests.helpers.dicom_files import dataset, item, longer, save, write

U8 = np.array([[0, 10, 255]], np.uint8)
U16 = np.array([[0, 100, 200, 4095]], np.uint16)
HU = np.array([[-1000, 0, 40, 1000]], np.int16)
RGB = np.array([[[255, 0, 0], [0, 128, 0]]], np.uint8)
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}


def table(first: int, entries: list[int], bits: int) -> pydicom.Dataset:
    made = item(LUTDescriptor=[len(entries), first, bits], LUTData=entries)
    made["LUTData"].VR = "US"
    made["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    return made


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


REFUSED: dict[str, tuple[np.ndarray | None, dict[str, object], str]] = {
    "no pixels": (None, {"SOPClassUID": EncapsulatedPDFStorage}, "without an image .Encapsulated PDF Storage"),
    "high bit": (U16, {"BitsStored": 12, "HighBit": 15}, "HighBit 15 with BitsStored 12"),
    "window of width 0": (U8, {"WindowCenter": 1, "WindowWidth": 0}, "center 1, width 0, LINEAR. has no meaning"),
    "LINEAR below 1": (U8, {"WindowCenter": 1, "WindowWidth": "0.5"}, "has no meaning; declare window"),
    "unknown function": (U8, {"WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "CUBIC"}, "CUBIC"),
    "slope 0": (U8, {"RescaleSlope": 0, "RescaleIntercept": 3}, "RescaleSlope 0"),
    "too few pixels": (U8, {"Rows": 9}, "damaged"),
    "no rows": (U8, {"Rows": 0}, "has the size 3 x 0"),
    "too large": (U8, {"Rows": 60000, "Columns": 60000}, r"too large to decode \(60000 x 60000\)"),
    "no colors": (U8, {"PhotometricInterpretation": "PALETTE COLOR"}, "damaged"),
    "four colors": (
        np.zeros((1, 4), np.uint8),
        {"SamplesPerPixel": 4, "Columns": 1, "PhotometricInterpretation": "CMYK", "PlanarConfiguration": 0},
        "rare kind .ValueError",
    ),
    "YBR of 16 bits": (RGB.astype(np.uint16), {"PhotometricInterpretation": "YBR_FULL"}, "rare kind"),
    "YBR_ICT outside of JPEG 2000": (RGB, {"PhotometricInterpretation": "YBR_ICT"}, "not supported .*YBR_ICT"),
    "one value called RGB": (U8, {"PhotometricInterpretation": "RGB"}, "one value a pixel, unlike RGB"),
    "video": (U8, {}, "MPEG2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_file_is_named(tmp_path: Path, name: str) -> None:
    pixels, attributes, said = REFUSED[name]
    made = dataset(pixels, **attributes)
    if name == "video":
        made.file_meta.TransferSyntaxUID = MPEG2MPML
        made["PixelData"].is_undefined_length = True
        made.PixelData = pydicom.encaps.encapsulate([bytes(8)])
    path = save(made, tmp_path / "a.dcm")
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(channels=1)(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "Secret" not in str(caught.value)


def test_missing_decoder_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset(RAMP, BitsStored=12)
    made.compress(JPEGLSLossless)
    path = save(made, tmp_path / "a.dcm")
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    with pytest.raises(UserError, match=r'compressed as JPEG-LS Lossless .*; pip install "medmamba-monai\[dicom\]"'):
        ReadImage(channels=1)(path)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_compressed_image_larger_than_its_header_says_is_not_decoded(tmp_path: Path, syntax: str) -> None:
    made = dataset(RAMP, BitsStored=12)
    made.compress(syntax)
    made.Rows = made.Columns = 8
    with pytest.raises(UserError, match=r"its compressed image is 64 x 64 with 1 .*, its header says 8 x 8"):
        ReadImage(channels=1)(save(made, tmp_path / "a.dcm"))


def test_deflated_file_is_bounded_by_its_header_and_while_it_inflates(tmp_path: Path) -> None:
    pixels = np.zeros((5000, 5000), np.uint8)
    path = write(tmp_path / "a.dcm", pixels, DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="too large to decode"):
        ReadImage(1, max_pixels=10**7)(path)
    with pytest.raises(UserError, match="expands to more than 20000000 bytes"):
        ReadImage(1, max_bytes=2 * 10**7)(path)


def test_deflated_file_with_more_pixels_than_its_header_tells_stops_at_the_bound(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", U8, DeflatedExplicitVRLittleEndian)
    longer(path, 10**6)
    np.testing.assert_array_equal(ReadImage(1)(path), U8[None])
    with pytest.raises(UserError, match="expands to more than 100000 bytes"):
        ReadImage(1, max_bytes=10**5)(path)


def test_deflated_file_takes_little_more_memory_than_its_header_tells(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", U8, DeflatedExplicitVRLittleEndian)
    longer(path, 2**27)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"expands to 1677\d{4} bytes and more, which its header does not tell"):
        ReadImage(1)(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26


def test_deflated_report_is_without_an_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a DICOM file without an image"):
        ReadImage(1)(write(tmp_path / "a.dcm", None, DeflatedExplicitVRLittleEndian))


@pytest.mark.parametrize("syntax", [None, DeflatedExplicitVRLittleEndian])
def test_cut_file_is_damaged(tmp_path: Path, syntax: str | None) -> None:
    path = write(tmp_path / "a.dcm", RAMP, *([syntax] if syntax else []))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged"):
        ReadImage(channels=1)(path)


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


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_image_without_its_end_is_damaged(tmp_path: Path, name: str) -> None:
    made = pydicom.dcmread(get_testdata_file(name))
    frame = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
    made.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 2]])
    with pytest.raises(UserError, match="its compressed image is damaged"):
        ReadImage(channels=3)(save(made, tmp_path / "a.dcm"))


def test_lossless_jpeg_is_read() -> None:
    image = ReadImage(channels=3)(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    assert image[:, 5, 50].tolist() == [255, 0, 0]


def test_text_of_a_damaged_file_is_not_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", None)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x08\0\x16\0UI") + 6] = 130  # a UID that reaches into the patient's name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"without an image \(unknown kind\)") as caught:
        ReadImage(channels=1)(path)
    assert "Secret" not in str(caught.value)


def test_report_without_an_image_made_by_others(tmp_path: Path) -> None:
    shutil.copy(get_testdata_file("rtstruct.dcm"), tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"without an image \(RT Structure Set Storage"):
        ReadImage(channels=1)(tmp_path / "a.dcm")


def test_damage_anywhere_raises_nothing_but_user_errors(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.dcm", RAMP[:8], WindowCenter=5, WindowWidth=9).read_bytes()
    read, generator = ReadImage(channels=3), np.random.default_rng(0)
    for _ in range(200):
        content = bytearray(whole[: generator.integers(132, len(whole) + 1)])
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        (tmp_path / "a.dcm").write_bytes(content)
        with contextlib.suppress(UserError):
            read(tmp_path / "a.dcm")
