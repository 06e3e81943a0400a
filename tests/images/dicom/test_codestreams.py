from __future__ import annotations

import pytest
from PIL import Image

from medmamba_monai.images.dicom.codestreams import Codestream, read_codestream
from tests.helpers.image_bytes import saved

JPEG = saved(Image.new("L", (5, 3)), "JPEG")
CMYK = saved(Image.new("CMYK", (5, 3)), "JPEG")
J2K = saved(Image.new("RGB", (5, 3)), "JPEG2000", no_jp2=True)
JP2 = saved(Image.new("RGB", (5, 3)), "JPEG2000")
SOF = JPEG.index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (JPEG, Codestream(5, 3, 1)),
        (JPEG[:2] + b"\xff" + JPEG[2:], Codestream(5, 3, 1)),
        (CMYK, Codestream(5, 3, 4)),
        (J2K, Codestream(5, 3, 3)),
        (JP2, Codestream(5, 3, 3)),
        (JPEG[:-2], None),
        (JPEG[:SOF], None),
        (JPEG[: SOF + 6], None),
        (CMYK.replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0+"), None),
        (J2K[:20], None),
        (b"", None),
        (b"\xff\xd8", None),
        (bytes(99), None),
    ],
)
def test_size_is_read_without_decoding(content: bytes, expected: Codestream | None) -> None:
    assert read_codestream(content) == expected
