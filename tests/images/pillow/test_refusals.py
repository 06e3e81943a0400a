from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from medmamba_monai.core.errors import UserError
from medmamba_monai.images import ReadImage
from medmamba_monai.images.pillow.read import count_picture_frames
from tests.helpers.image_bytes import big, chunk, one_color, png, saved, tiff

GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
RED, GREEN = (255, 0, 0), (0, 255, 0)
RGB16 = np.array([[[0, 257, 65535], [0x1234, 0x00FF, 0xFF00]]], np.uint16)
PALETTE = chunk(b"PLTE", bytes([*RED, *GREEN]))


def lab() -> bytes:
    return saved(Image.new("LAB", (2, 2)), "TIFF")


def cmyk_without_mark() -> bytes:
    content = one_color("CMYK", (255, 0, 0, 0), "JPEG")
    place = content.index(b"\xff\xee")
    return content[:place] + content[place + 2 + int.from_bytes(content[place + 2 : place + 4], "big") :]


def small_first_frame() -> bytes:
    content = bytearray(one_color("P", 1, "GIF"))
    content[6:8] = struct.pack("<H", 12)  # of the picture; the frame keeps its 8 columns
    return bytes(content)


REFUSED: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "PNG LA": (lambda: one_color("LA", (1, 2), "PNG"), "64 pixels are transparent; declare background"),
    "PNG RGBA": (lambda: one_color("RGBA", (1, 1, 1, 2), "PNG"), "64 pixels are transparent"),
    "PNG one transparent": (lambda: saved(Image.fromarray(GRAY), "PNG", transparency=40), "1 pixels are transparent"),
    "PNG palette too short": (png(8, 3, b"\0\5", extra=PALETTE), "uses color 5 of a palette of 2"),
    "APNG": (
        lambda: saved(Image.new("L", (2, 2)), "PNG", save_all=True, append_images=[Image.new("L", (2, 2), 9)]),
        r"has 2 frames; choose one with frame=0, or .*#frame\[0\]",
    ),
    "TIFF pages": (
        lambda: saved(Image.new("L", (2, 2)), "TIFF", save_all=True, append_images=[Image.new("L", (2, 2))] * 2),
        "has 3 frames",
    ),
    "GIF frames": (
        lambda: saved(Image.new("L", (2, 2)), "GIF", save_all=True, append_images=[Image.new("L", (2, 2), 9)]),
        "has 2 frames",
    ),
    "GIF small first frame": (small_first_frame, "first frame does not cover the picture"),
    "TIFF float": (
        tiff(np.array([[0.25, 1.5]], np.float32)),
        r"float32 values from 0\.25 to 1\.5 \(TIFF, 32-bit floating point gray\); .*intensity_range=\(0\.25, 1\.5\)",
    ),
    "TIFF NaN": (tiff(np.array([[0, np.nan]], np.float32)), "1 values are NaN or infinite; declare fill_non_finite"),
    "TIFF double": (
        tiff(np.array([[0.0, 1]], np.float64)),
        r"float64 values from 0 to 1 \(TIFF, 64-bit floating point gray\); declare .*intensity_range=\(0, 1\)",
    ),
    "TIFF double NaN": (tiff(np.array([[0, np.nan]])), "1 values are NaN or infinite; declare fill_non_finite"),
    "TIFF double white is zero": (tiff(np.zeros((1, 1)), photometric=0), "1 channel with values of float64 in 64 bits"),
    "TIFF double deflated": (tiff(np.zeros((1, 1)), deflate=True), "compressed float64 values; save it uncompressed"),
    "TIFF long": (tiff(np.zeros((1, 1), np.int64)), "1 channel with values of int64 in 64 bits, a combination"),
    "TIFF two channels": (tiff(np.zeros((1, 1, 2), np.uint8)), "2 channels with values of uint8 in 8 bits"),
    "TIFF float white is zero": (tiff(np.zeros((1, 1), np.float32), photometric=0), "smallest is white"),
    "JPEG CMYK of unknown sense": (cmyk_without_mark, "CMYK colors that may be inverted"),
    "TIFF of ImageJ": (
        lambda: saved(Image.new("L", (2, 2)), "TIFF", tiffinfo={270: "ImageJ=1.53t\nimages=7\nslices=7\n"}),
        "ImageJ wrote 7 images, of which 1 can be read",
    ),
    "TIFF LAB": (lab, "LAB colors"),
    "TIFF 16-bit CMYK": (tiff(np.zeros((1, 1, 4), np.uint16), photometric=5), "16-bit CMYK"),
    "TIFF 16-bit planes": (tiff(RGB16, photometric=2, planar=2), "separate planes"),
    "TIFF 16-bit multiplied": (tiff(np.zeros((1, 1, 4), np.uint16), photometric=2, extra=1), "multiplied by"),
    "TIFF gray and another": (tiff(np.zeros((2, 2, 2), np.uint8), extra=0), "1 more channel than gray or colors"),
    "TIFF RGB and another": (tiff(np.zeros((2, 2, 4), np.uint8), photometric=2, extra=0), "1 more channel than"),
    "TIFF 16-bit RGB and another": (tiff(np.zeros((2, 2, 4), np.uint16), photometric=2, extra=0), "1 more channel"),
    "TIFF RGB and another in planes": (
        tiff(np.zeros((2, 2, 4), np.uint8), photometric=2, extra=0, planar=2),
        "1 more channel than",
    ),
    "truncated TIFF": (tiff(np.zeros((99, 99), np.uint8))[:-9], "damaged"),
    "truncated GIF": (lambda: saved(Image.effect_noise((64, 64), 9), "GIF")[:-99], "damaged"),
    "truncated WebP": (lambda: saved(Image.effect_noise((64, 64), 9).convert("RGB"), "WEBP")[:-99], "damaged"),
    "truncated BMP": (lambda: one_color("RGB", RED, "BMP")[:-9], "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_open_or_damaged_is_an_error(
    tmp_path: Path, name: str, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, said = REFUSED[name]
    path = tmp_path / "a.bin"
    path.write_bytes(content if isinstance(content, bytes) else content())
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(channels=3)(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert lenient == ImageFile.LOAD_TRUNCATED_IMAGES


def test_truncated_jpeg_is_an_error_even_where_others_are_lenient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "a.jpg").write_bytes(saved(Image.effect_noise((64, 64), 9), "JPEG")[:-40])

    def is_refused(_: int) -> bool:
        with pytest.raises(UserError, match="truncated"):
            ReadImage(channels=1)(tmp_path / "a.jpg")
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_refused, range(16)))
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_raised_bound_goes_beyond_that_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "a.png"), GRAY[None])


def test_animation_of_16_bits_is_an_error(tmp_path: Path) -> None:
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(
        b"fcTL", struct.pack(">5I2H2B", 0, 2, 1, 0, 0, 1, 1, 0, 0)
    )
    (tmp_path / "a.png").write_bytes(png(16, 2, big(RGB16), (2, 1), control))
    with pytest.raises(UserError, match=r"a\.png: is animated in 16 bits"):
        ReadImage(channels=3, frame=0)(tmp_path / "a.png")


def gif_of(frames: int) -> bytes:
    return b"GIF89a\1\0\1\0\0\0\0" + (b"," + bytes(4) + b"\1\0\1\0\0\2\0") * frames + b";"


def tiff_of(pages: int) -> bytes:
    content = bytearray(tiff(np.zeros((2, 2), np.uint8)))
    (entries,) = struct.unpack_from("<H", content, 8)
    struct.pack_into("<I", content, 10 + 12 * entries, len(content))
    start = len(content)
    return bytes(content) + b"".join(struct.pack("<HI", 0, start + 6 * page) for page in range(1, pages))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", [gif_of(100_000), tiff_of(100_000)], ids=["GIF", "TIFF"])
def test_frames_without_end_are_not_counted_to_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    for count in (count_picture_frames, lambda path: ReadImage(channels=1, frame=0)(path)):
        with pytest.raises(UserError, match="has 65537 frames, more than the 65536 that are read"):
            count(tmp_path / "a")


def test_a_png_that_claims_frames_without_end_is_refused(tmp_path: Path) -> None:
    control = chunk(b"acTL", struct.pack(">II", 10**9, 0))
    (tmp_path / "a.png").write_bytes(png(8, 0, b"\0\1", (2, 2), control))
    with pytest.raises(UserError, match="has 1000000001 frames, more than"):
        count_picture_frames(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_frames_are_counted_as_pillow_does(tmp_path: Path, kind: str, frames: int) -> None:
    images = [Image.effect_noise((40, 30), 50 + index) for index in range(frames)]
    big = {"big_tiff": True} if kind == "TIFF" and frames == 7 else {"comment": b"with, commas;"}
    (tmp_path / "a").write_bytes(saved(images[0], kind, save_all=True, append_images=images[1:], **big))
    assert count_picture_frames(tmp_path / "a") == frames == Image.open(tmp_path / "a").n_frames


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "BMP", "JPEG"])
def test_damage_anywhere_raises_nothing_but_user_errors(tmp_path: Path, kind: str) -> None:
    whole = saved(Image.effect_noise((16, 16), 50), kind)
    read, generator = ReadImage(channels=3, background=0), np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole[: generator.integers(4, len(whole) + 1)])
        content[generator.integers(4, len(content))] ^= 1 << generator.integers(8)
        (tmp_path / "a").write_bytes(content)
        with contextlib.suppress(UserError):
            read(tmp_path / "a")
