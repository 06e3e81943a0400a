from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.read import read_dicom
from medmamba_monai.images.raw_image import Limits
from tests.helpers.dicom_files import dataset, encode_elements, encode_file, longer, save, write
from tests.helpers.image_bytes import saved

VALUES = np.random.default_rng(0).integers(0, 4096, (32, 40)).astype(np.uint16)
OVERLAY = np.where(np.arange(40) % 3 == 0, 0x8000, 0).astype(np.uint16)


def read(path: Path) -> np.ndarray:
    return read_dicom(path, None, Limits()).values


def describe(values: np.ndarray) -> dict[str, tuple[str, bytes]]:
    numbers = {
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": 1,
        "BitsAllocated": values.itemsize * 8,
        "BitsStored": values.itemsize * 8,
        "HighBit": values.itemsize * 8 - 1,
        "PixelRepresentation": 0,
    }
    return {keyword: ("US", struct.pack("<H", number)) for keyword, number in numbers.items()} | {
        "Modality": ("CS", b"CT"),
        "PhotometricInterpretation": ("CS", b"MONOCHROME2 "),
    }


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless, ExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_not_seen(tmp_path: Path, syntax: str, signed: bool) -> None:
    stored = (VALUES | OVERLAY).view(np.int16) if signed else VALUES | OVERLAY
    made = dataset(stored)
    if syntax != ExplicitVRLittleEndian:
        made.compress(syntax)  # all 16 bits
    made.BitsStored, made.HighBit = 12, 11
    expected = VALUES.astype(int) - 4096 * (VALUES >= 2048) if signed else VALUES
    np.testing.assert_array_equal(read(save(made, tmp_path / "a.dcm")), expected)


@pytest.mark.parametrize(("bits", "most"), [(16, None), (12, 4095)])
def test_lossy_compression_may_leave_the_range_by_little(tmp_path: Path, bits: int, most: int | None) -> None:
    made = dataset(np.where(VALUES % 2, 4095, 0).astype(np.uint16))
    made.compress(JPEG2000, j2k_cr=[2])
    made.BitsStored, made.HighBit = bits, bits - 1
    found = read(save(made, tmp_path / "a.dcm"))
    assert found.max() > 4095 if most is None else found.max() == most


def test_overlay_under_lossy_compression_is_an_error(tmp_path: Path) -> None:
    made = dataset(VALUES | OVERLAY)
    made.compress(JPEG2000, j2k_cr=[2])
    made.BitsStored, made.HighBit = 12, 11
    with pytest.raises(UserError, match=r"a\.dcm: has values from .* in 12 bits after lossy compression"):
        read(save(made, tmp_path / "a.dcm"))


def test_header_without_vrs_under_a_compressed_syntax(tmp_path: Path) -> None:
    picture = Image.fromarray((VALUES % 256).astype(np.uint8))
    content = encapsulate([saved(picture, "JPEG")])
    head = encode_file(describe(np.asarray(picture)), JPEGBaseline8Bit, implicit=True)
    (tmp_path / "a.dcm").write_bytes(head + b"\xe0\x7f\x10\0\xff\xff\xff\xff" + content + b"\xfe\xff\xdd\xe0\0\0\0\0")
    seen = np.asarray(Image.open(io.BytesIO(saved(picture, "JPEG"))))
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), seen)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("behind", [b"", bytes(64)])
def test_pixels_begin_where_the_file_says_and_not_its_syntax(
    tmp_path: Path, implicit: bool, syntax: str, behind: bytes
) -> None:
    elements = describe(VALUES) | {"PixelData": ("OW", VALUES.tobytes())}
    if behind:
        elements["DataSetTrailingPadding"] = ("OB", behind)
    (tmp_path / "a.dcm").write_bytes(encode_file(elements, syntax, implicit))
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), VALUES)


def test_pixels_shorter_than_told_do_not_go_on_in_what_follows(tmp_path: Path) -> None:
    elements = describe(VALUES) | {"PixelData": ("OW", VALUES.tobytes()[:-8])}
    elements["DataSetTrailingPadding"] = ("OB", bytes(64))
    (tmp_path / "a.dcm").write_bytes(encode_file(elements, ExplicitVRLittleEndian))
    with pytest.raises(UserError, match="is damaged: its header tells of 2560 bytes of pixels, it holds 2552"):
        read(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_pixels_stored_otherwise_than_the_syntax_says_are_an_error(tmp_path: Path, syntax: str) -> None:
    compressed = syntax == ExplicitVRLittleEndian
    content = encode_file(describe(VALUES) | {"PixelData": ("OW", VALUES.tobytes())}, syntax)
    if compressed:
        content = content.replace(b"OW\0\0" + struct.pack("<I", VALUES.nbytes), b"OW\0\0\xff\xff\xff\xff")
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(UserError, match=f"but its pixels are {'' if compressed else 'not '}compressed"):
        read(tmp_path / "a.dcm")


def test_file_may_begin_with_its_transfer_syntax(tmp_path: Path) -> None:
    content = write(tmp_path / "a.dcm", VALUES).read_bytes()
    (tmp_path / "a.dcm").write_bytes(content[content.index(b"\x02\0\x10\0UI") :])
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), VALUES)


@pytest.mark.parametrize("preamble", [False, True])
def test_deflated_file_may_lack_the_length_of_its_first_group(tmp_path: Path, preamble: bool) -> None:
    content = write(tmp_path / "a.dcm", VALUES, DeflatedExplicitVRLittleEndian).read_bytes()
    start = bytes(128) + b"DICM" if preamble else b""
    (tmp_path / "a.dcm").write_bytes(start + content[content.index(b"\x02\0\x10\0UI") :])
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), VALUES)


def test_deflated_file_without_a_preamble_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, DeflatedExplicitVRLittleEndian)
    longer(path, 2**25)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x02\0\x10\0UI") :])
    with pytest.raises(UserError, match="which its header does not tell"):
        read(path)


@pytest.mark.parametrize("implicit", [False, True])
def test_encoding_that_is_not_told_is_seen(tmp_path: Path, implicit: bool) -> None:
    elements = describe(VALUES) | {"PixelData": ("OW", VALUES.tobytes())}
    meta = encode_elements({"MediaStorageSOPClassUID": ("UI", b"1.2\0")})
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + meta + encode_elements(elements, implicit))
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), VALUES)


def test_short_mark_of_adobe_is_a_comment() -> None:
    path = get_testdata_file("SC_rgb_jpeg.dcm")
    np.testing.assert_allclose(read(Path(path)).astype(int), pydicom.dcmread(path).pixel_array, atol=1)


def test_jpeg_of_12_bits_names_what_decodes_it() -> None:
    with pytest.raises(UserError, match=r"JPEG Extended .* with more than 8 bits, .*pip install pylibjpeg-libjpeg"):
        read(Path(get_testdata_file("JPGExtended.dcm")))
