from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.dicom.read import read_dicom
from medmamba_monai.images.raw_image import Limits, RawImage
from tests.helpers.dicom_files import WHOLE, encode_file

NUMBERS = st.integers(-70_000, 70_000)
CONTENT = st.one_of(
    st.binary(max_size=12),
    NUMBERS.map(lambda number: str(number).encode()),
    st.floats().map(lambda number: f"{number:g}".encode()),
    st.lists(NUMBERS, max_size=3).map(lambda numbers: "\\".join(map(str, numbers)).encode()),
    st.integers(0, 2**16 - 1).map(lambda number: number.to_bytes(2, "little")),
    st.sampled_from([b"RGB ", b"MONOCHROME1 ", b"PALETTE COLOR ", b"YBR_FULL", b"SIGMOID ", b"CT\\MR"]),
)
VRS = st.sampled_from(["US", "SS", "DS", "IS", "CS", "LO", "UN", "OW", "SQ"])
CHANGES = st.dictionaries(st.sampled_from(sorted(WHOLE)), st.none() | st.tuples(VRS, CONTENT), min_size=1, max_size=3)
SYNTAXES = st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit, "1.2.3", ""])


@given(changes=CHANGES, syntax=SYNTAXES, implicit=st.booleans())
def test_every_header_gives_the_pixels_of_pydicom_or_one_error_that_names_the_file(
    changes: dict[str, tuple[str, bytes] | None], syntax: str, implicit: bool
) -> None:
    elements = {keyword: found for keyword, found in (WHOLE | changes).items() if found is not None}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "a.dcm"
        path.write_bytes(encode_file(elements, syntax, implicit))
        raw, said = read(path)
        expected = read_by_pydicom(path)
    assert raw is not None or said.startswith(f"{path}: ")
    if raw is not None and expected is not None:
        np.testing.assert_array_equal(raw.values, expected)


def read(path: Path) -> tuple[RawImage | None, str]:
    try:
        return read_dicom(path, "first", Limits()), ""
    except UserError as error:
        return None, str(error)


def read_by_pydicom(path: Path) -> np.ndarray | None:
    """The pixels of the first frame, or None where pydicom reads none, or colors."""
    try:
        found = pydicom.dcmread(path)
        pixels = apply_modality_lut(found.pixel_array, found)
        half = (found.get("RescaleSlope") is None) != (found.get("RescaleIntercept") is None)  # pydicom uses neither
        return None if half or pixels.ndim != 2 or found.PhotometricInterpretation == "PALETTE COLOR" else pixels
    except Exception:  # noqa: BLE001  # whatever it raises
        return None
