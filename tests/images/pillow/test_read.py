from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.kinds import count_frames
from medmamba_monai.images.read import describe_image
from tests.helpers.image_bytes import big, chunk, one_color, png, saved, tiff

GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
COLOR = np.stack([GRAY, GRAY + 1, GRAY + 2], axis=-1)
RED, GREEN = (255, 0, 0), (0, 255, 0)
U16 = np.array([[0, 257, 65535]], np.uint16)  # 0, 1 and 255 on the scale of 8 bits
RGB16 = np.array([[[0, 257, 65535], [0x1234, 0x00FF, 0xFF00]]], np.uint16)
RGB16_SHOWN = [[[0, 1, 255], [18, 1, 254]]]  # 4660 / 257 = 18.1, 255 / 257 = 0.99, 65280 / 257 = 254.0
PALETTE = chunk(b"PLTE", bytes([*RED, *GREEN]))
GRAY_PALETTE = chunk(b"PLTE", bytes([10, 10, 10, 200, 200, 200]))


def tiff12() -> bytes:
    return tiff(np.array([[0x00, 0x0F, 0xFF]], np.uint8), bits=12, columns=2)


# name: content of the file, options, rows of gray or (rows, columns, 3) of color
RIGHT: dict[str, tuple[bytes | Callable[[], bytes], dict[str, object], object]] = {
    "PNG 1-bit": (png(1, 0, b"\x40"), {}, [[0, 255], [0, 255]]),
    "PNG 2-bit": (png(2, 0, b"\x60"), {}, [[85, 170], [85, 170]]),
    "PNG 4-bit": (png(4, 0, b"\x1f"), {}, [[17, 255], [17, 255]]),
    "PNG 16-bit": (png(16, 0, big(U16), (3, 1)), {}, [[0, 1, 255]]),
    "PNG 16-bit rounded": (png(16, 0, b"\x12\x34", (1, 1)), {}, [[18]]),
    "PNG 16-bit range": (png(16, 0, b"\x00\x64\x00\x78", (2, 1)), {"intensity_range": (100, 120)}, [[0, 255]]),
    "PNG 16-bit image": (png(16, 0, b"\x00\x64\x00\x78", (2, 1)), {"intensity_range": "image"}, [[0, 255]]),
    "PNG 16-bit window": (png(16, 0, b"\x00\x64\x00\x78", (2, 1)), {"window": (120, 40)}, [[0, 128]]),
    "PNG 16-bit RGB": (png(16, 2, big(RGB16), (2, 1)), {}, RGB16_SHOWN),
    "PNG 16-bit gray, opaque": (png(16, 4, b"\x01\x01\xff\xff", (1, 1)), {}, [[1]]),
    "PNG 16-bit gray, alpha": (png(16, 4, b"\xff\xff\x7f\xff", (1, 1)), {"background": 0}, [[127]]),
    "PNG 16-bit RGB, alpha": (
        png(16, 6, b"\xff\xff\0\0\0\xff\x80\x00", (1, 1)),
        {"background": (0, 255, 0)},
        [[[128, 127, 0]]],
    ),
    "PNG 16-bit one transparent": (
        png(16, 0, b"\x12\x34\x12\x35", (2, 1), chunk(b"tRNS", b"\x12\x34")),
        {"background": 255},
        [[255, 18]],
    ),
    "PNG 16-bit RGB one transparent": (
        png(16, 2, big(RGB16), (2, 1), chunk(b"tRNS", big(RGB16[0, 1]))),
        {"background": 7},
        [[[0, 1, 255], [7, 7, 7]]],
    ),
    "PNG 1-bit one transparent": (png(1, 0, b"\x40", extra=chunk(b"tRNS", b"\0\1")), {"background": 9}, [[0, 9]] * 2),
    "PNG 2-bit one transparent": (png(2, 0, b"\x60", extra=chunk(b"tRNS", b"\0\1")), {"background": 9}, [[9, 170]] * 2),
    "PNG 4-bit one transparent": (png(4, 0, b"\x1f", extra=chunk(b"tRNS", b"\0\1")), {"background": 9}, [[9, 255]] * 2),
    "PNG 8-bit one transparent": (
        lambda: saved(Image.fromarray(GRAY), "PNG", transparency=40),
        {"background": 9},
        [[0, 9, 80], [120, 160, 200]],
    ),
    "PNG palette": (png(1, 3, b"\x40", extra=PALETTE), {}, [[RED, GREEN]] * 2),
    "PNG palette of grays": (png(8, 3, b"\0\1", extra=GRAY_PALETTE), {}, [[10, 200]] * 2),
    "PNG palette half transparent": (
        png(8, 3, b"\0\1", extra=PALETTE + chunk(b"tRNS", b"\x80")),
        {"background": (0, 0, 255)},
        [[(128, 0, 127), GREEN]] * 2,
    ),
    "PNG interlaced 16-bit": (png(16, 0, b"\x01\x01", (1, 1), interlace=1), {}, [[1]]),
    "PNG RGBA opaque": (lambda: one_color("RGBA", (1, 2, 3, 255), "PNG"), {}, np.full((8, 8, 3), [1, 2, 3])),
    "PNG RGBA": (
        lambda: one_color("RGBA", (200, 100, 0, 51), "PNG"),
        {"background": (0, 0, 100)},
        np.full((8, 8, 3), [40, 20, 80]),
    ),
    "PNG LA": (lambda: one_color("LA", (200, 51), "PNG"), {"background": 100}, np.full((8, 8), 120)),
    "PNG LA on color": (
        lambda: one_color("LA", (200, 51), "PNG"),
        {"background": (100, 0, 0)},
        np.full((8, 8, 3), [120, 40, 40]),
    ),
    "APNG frame": (
        lambda: saved(Image.new("L", (1, 1), 5), "PNG", save_all=True, append_images=[Image.new("L", (1, 1), 7)]),
        {"frame": 1},
        [[7]],
    ),
    "BMP 1-bit": (lambda: saved(Image.fromarray(GRAY > 90), "BMP"), {}, [[0, 0, 0], [255, 255, 255]]),
    "BMP of 32 bits": (lambda: one_color("RGBA", (1, 2, 3, 0), "BMP"), {}, np.full((8, 8, 3), [1, 2, 3])),
    "BMP palette": (lambda: one_color("P", 0, "BMP"), {}, np.zeros((8, 8))),
    "JPEG CMYK": (lambda: one_color("CMYK", (255, 0, 0, 0), "JPEG"), {}, np.full((8, 8, 3), [0, 255, 255])),
    "JPEG CMYK black": (lambda: one_color("CMYK", (0, 0, 0, 255), "JPEG"), {}, np.zeros((8, 8))),
    "JPEG gray": (lambda: one_color("L", 77, "JPEG"), {}, np.full((8, 8), 77)),
    "MPO": (
        lambda: saved(Image.new("L", (8, 8), 77), "MPO", save_all=True, append_images=[Image.new("L", (8, 8), 9)]),
        {},
        np.full((8, 8), 77),
    ),
    "GIF": (lambda: one_color("P", 0, "GIF"), {}, np.zeros((8, 8))),
    "GIF gray one transparent": (
        lambda: saved(Image.fromarray(GRAY), "GIF", transparency=40),
        {"background": 9},
        [[0, 9, 80], [120, 160, 200]],
    ),
    "GIF frame": (
        lambda: saved(Image.new("L", (1, 1), 5), "GIF", save_all=True, append_images=[Image.new("L", (1, 1), 7)]),
        {"frame": 1},
        [[7]],
    ),
    "WebP": (lambda: one_color("RGB", (1, 2, 3), "WEBP", lossless=True), {}, np.full((8, 8, 3), [1, 2, 3])),
    "WebP alpha": (
        lambda: one_color("RGBA", (200, 100, 0, 51), "WEBP", lossless=True, exact=True),
        {"background": 0},
        np.full((8, 8, 3), [40, 20, 0]),
    ),
    "WebP frame": (
        lambda: saved(
            Image.new("RGB", (8, 8), (5, 5, 5)),
            "WEBP",
            save_all=True,
            lossless=True,
            append_images=[Image.new("RGB", (8, 8), (9, 9, 9))],
        ),
        {"frame": 1},
        np.full((8, 8), 9),
    ),
    "TIFF 8-bit": (tiff(GRAY), {}, GRAY),
    "TIFF 8-bit white is zero": (tiff(GRAY, photometric=0), {}, 255 - GRAY),
    "TIFF 1-bit": (lambda: saved(Image.fromarray(GRAY > 90), "TIFF"), {}, [[0, 0, 0], [255, 255, 255]]),
    "TIFF signed bytes": (tiff(np.array([[-128, 127]], np.int8)), {}, [[0, 255]]),
    "TIFF 12-bit": (tiff12(), {}, [[0, 255]]),
    "TIFF 16-bit white is zero": (tiff(U16, photometric=0), {}, [[255, 254, 0]]),
    "TIFF 16-bit RGBA": (
        tiff(np.array([[[65535, 0, 0, 0x8000]]], np.uint16), photometric=2, extra=2),
        {"background": 0},
        [[[128, 0, 0]]],
    ),
    "TIFF CMYK": (lambda: one_color("CMYK", (255, 0, 0, 0), "TIFF"), {}, np.full((8, 8, 3), [0, 255, 255])),
    "TIFF YCbCr": (lambda: one_color("YCbCr", (76, 85, 255), "TIFF"), {}, np.full((8, 8, 3), [254, 0, 0])),
    "TIFF palette": (lambda: one_color("P", 0, "TIFF"), {}, np.zeros((8, 8))),
    "TIFF page": (
        lambda: saved(Image.new("L", (1, 1), 5), "TIFF", save_all=True, append_images=[Image.new("L", (1, 1), 7)]),
        {"frame": 1},
        [[7]],
    ),
    "TIFF 32-bit unsigned": (
        tiff(np.array([[0, 2**32 - 1]], np.uint32)),
        {"intensity_range": (0, 2**32 - 1)},
        [[0, 255]],
    ),
}
for order in "<>":
    for deflate in (False, True):
        what, options = f"{order}{' deflated' if deflate else ''}", {"order": order, "deflate": deflate}
        floats, signed = np.array([[-1.0, 0, 3]], np.float32), np.array([[-32768, -32511, 32767]], np.int16)
        RIGHT |= {
            f"TIFF 16-bit {what}": (tiff(U16, **options), {}, [[0, 1, 255]]),
            f"TIFF 16-bit RGB {what}": (tiff(RGB16, photometric=2, **options), {}, RGB16_SHOWN),
            f"TIFF signed 16-bit {what}": (tiff(signed, **options), {}, [[0, 1, 255]]),
            f"TIFF signed 32-bit {what}": (
                tiff(signed.astype(np.int32), **options),
                {"intensity_range": (-32768, 32767)},
                [[0, 1, 255]],
            ),
            f"TIFF float {what}": (tiff(floats, **options), {"intensity_range": (-1, 4)}, [[0, 51, 204]]),
        }


@pytest.mark.parametrize("name", RIGHT)
def test_pixels_are_what_a_person_sees(tmp_path: Path, name: str) -> None:
    content, options, expected = RIGHT[name]
    path = tmp_path / "no suffix"
    path.write_bytes(content if isinstance(content, bytes) else content())
    pixels = np.asarray(expected)
    color = pixels.ndim == 3
    image = ReadImage(3 if color else 1, **options)(path)
    np.testing.assert_array_equal(image, np.moveaxis(pixels, -1, 0) if color else pixels[None])


TURNED = {
    1: [[0, 40, 80], [120, 160, 200]],
    2: [[80, 40, 0], [200, 160, 120]],
    3: [[200, 160, 120], [80, 40, 0]],
    4: [[120, 160, 200], [0, 40, 80]],
    5: [[0, 120], [40, 160], [80, 200]],
    6: [[120, 0], [160, 40], [200, 80]],
    7: [[200, 80], [160, 40], [120, 0]],
    8: [[80, 200], [40, 160], [0, 120]],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "deflated TIFF"])
def test_image_is_turned_upright_once(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"PNG": {}, "JPEG": {"quality": 100}, "WEBP": {"lossless": True}, "TIFF": {}}
    settings = options.get(kind, {"compression": "tiff_adobe_deflate"})
    blocks = Image.fromarray(GRAY).resize((48, 32), Image.Resampling.NEAREST)
    blocks.save(tmp_path / "a", kind.split()[-1], exif=exif, **settings)
    image = ReadImage(channels=1)(tmp_path / "a")[0, 8::16, 8::16]
    np.testing.assert_allclose(image, TURNED[orientation], atol=1)


def test_unknown_orientation_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "a.png"), GRAY[None])


def test_alpha_is_turned_with_the_colors(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.stack([GRAY, np.where(GRAY == 40, 0, 255).astype(np.uint8)], axis=-1)
    Image.fromarray(pixels, "LA").save(tmp_path / "a.png", exif=exif)
    image = ReadImage(channels=1, background=9)(tmp_path / "a.png")
    np.testing.assert_array_equal(image, [[[120, 0], [160, 9], [200, 80]]])


def test_deep_pixels_of_a_turned_tiff(tmp_path: Path) -> None:
    content = bytearray(tiff(RGB16, photometric=2, planar=1))
    place = content.index(struct.pack("<HHI", 284, 3, 1))
    content[place : place + 2] = struct.pack("<H", 274)  # makes of planar configuration 1 an orientation
    content[place + 8] = 3
    fields = struct.unpack_from("<H", content, 8)[0]
    entries = sorted(bytes(content[10 + 12 * i : 22 + 12 * i]) for i in range(fields))
    content[10 : 10 + 12 * fields] = b"".join(sorted(entries, key=lambda entry: struct.unpack("<H", entry[:2])))
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(
        ReadImage(channels=3)(tmp_path / "a.tif"), np.moveaxis(np.array(RGB16_SHOWN)[:, ::-1], -1, 0)
    )


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP"])
def test_named_frame(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), (value, 0, 0)) for value in (0, 255, 0)]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    image = ReadImage(channels=3, frame="all")(f"{tmp_path / 'a'}#frame[1]")
    assert image[0].min() > 250
    assert count_frames(tmp_path / "a") == 3
    with pytest.raises(UserError, match=r"has no frame 3; it has 3 frames"):
        ReadImage(channels=3)(f"{tmp_path / 'a'}#frame[3]")


@pytest.mark.parametrize(
    ("content", "kind", "channels", "nominal"),
    [
        (png(16, 0, big(U16), (3, 1)), "PNG, 16-bit gray", 1, (0, 65535)),
        (png(16, 2, big(RGB16), (2, 1)), "PNG, 16-bit RGB", 3, (0, 65535)),
        (png(8, 3, b"\0\1", extra=GRAY_PALETTE), "PNG, 8-bit palette", 1, (0, 255)),
        (tiff(np.array([[0.5]], np.float32)), "TIFF, 32-bit floating point gray", 1, None),
        (tiff(np.array([[5, -5]], np.int16)), "TIFF, 16-bit signed gray", 1, (-32768, 32767)),
    ],
)
def test_facts_need_no_declaration(
    tmp_path: Path, content: bytes, kind: str, channels: int, nominal: tuple[float, float] | None
) -> None:
    (tmp_path / "a").write_bytes(content)
    facts = describe_image(tmp_path / "a")
    assert (facts.kind, facts.channels, facts.nominal) == (kind, channels, nominal)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point_of_16_and_64_bits(tmp_path: Path, kind: type, order: str) -> None:
    values = np.array([[0, 0.25, 1], [0.5, 0.75, 0.125]])
    (tmp_path / "a.tif").write_bytes(tiff(values.astype(kind), order=order))
    image = ReadImage(1, dtype="float32", intensity_range=(0, 1))(tmp_path / "a.tif")
    np.testing.assert_array_equal(image[0], (values * 255).astype(np.float32))
    assert count_frames(tmp_path / "a.tif") == 1


def test_pages_of_doubles_as_others_write_them(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).random((3, 4, 5))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, contiguous=False, extratags=[(274, "H", 1, 6, True)])
    read = ReadImage(1, dtype="float32", intensity_range=(0, 1), frame=2)
    np.testing.assert_allclose(read(tmp_path / "a.tif")[0], np.rot90(pages[2], -1) * 255, rtol=1e-6)
    assert count_frames(tmp_path / "a.tif") == 3
