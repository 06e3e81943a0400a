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
    JPEG2000Lossless,
    JPEGLSLossless,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from tests.helpers.dicom_files import dataset, longer, save, write

U8 = np.array([[0, 10, 255]], np.uint8)
U16 = np.array([[0, 100, 200, 4095]], np.uint16)
RGB = np.array([[[255, 0, 0], [0, 128, 0]]], np.uint8)
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
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
    "no colors": (
        U8,
        {"PhotometricInterpretation": "PALETTE COLOR"},
        "attribute RedPaletteColorLookupTableDescriptor is missing",
    ),
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


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_image_without_its_end_is_damaged(tmp_path: Path, name: str) -> None:
    made = pydicom.dcmread(get_testdata_file(name))
    frame = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
    made.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 2]])
    with pytest.raises(UserError, match="its compressed image is damaged"):
        ReadImage(channels=3)(save(made, tmp_path / "a.dcm"))


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
