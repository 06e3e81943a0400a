from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import Compose, ScaleIntensityRanged
from PIL import Image

from medmamba_monai.core.errors import UserError, find_user_error
from medmamba_monai.images import ReadImage, ReadImaged
from medmamba_monai.images.raw_image import ImageFacts
from medmamba_monai.images.read import describe_image
from tests.helpers.image_bytes import png, saved
from tests.helpers.small_data import npz_content, write_npz

GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
COLOR = np.stack([GRAY, GRAY + 1, GRAY + 2], axis=-1)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_rows_stay_rows(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GRAY).save(tmp_path / f"a.{suffix}")
    image = ReadImage(channels=1)(tmp_path / f"a.{suffix}")
    assert type(image) is torch.Tensor
    assert image.dtype == torch.uint8
    np.testing.assert_array_equal(image, GRAY[None])


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_color_comes_channel_first(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(COLOR).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(ReadImage(channels=3)(tmp_path / f"a.{suffix}"), COLOR.transpose(2, 0, 1))


def test_jpeg_has_the_values_that_pillow_decodes(tmp_path: Path) -> None:
    Image.fromarray(COLOR).resize((24, 16)).save(tmp_path / "a.jpg")
    expected = np.asarray(Image.open(tmp_path / "a.jpg")).transpose(2, 0, 1)
    np.testing.assert_array_equal(ReadImage(channels=3)(tmp_path / "a.jpg"), expected)


def test_gray_is_repeated_where_three_channels_are_declared(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(ReadImage(channels=3)(tmp_path / "a.png"), np.stack([GRAY] * 3))


def test_equal_channels_become_gray(tmp_path: Path) -> None:
    Image.fromarray(np.stack([GRAY] * 3, axis=-1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "a.png"), GRAY[None])


def test_color_where_gray_is_declared_is_an_error(tmp_path: Path) -> None:
    Image.fromarray(COLOR).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: is a color image, but 1 channel is declared"):
        ReadImage(channels=1)(tmp_path / "a.png")


def test_upright_exif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "a.png"), GRAY[None])


PICTURE = Image.fromarray(GRAY)
TRAPS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "gray with alpha": (lambda: saved(Image.new("LA", (2, 2)), "PNG"), "4 pixels are transparent"),
    "animated PNG": (lambda: saved(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]), "2 frames"),
    "truncated PNG": (lambda: saved(PICTURE.resize((64, 64)), "PNG")[:-40], "damaged"),
    "truncated JPEG": (lambda: saved(PICTURE.resize((64, 64)), "JPEG")[:-40], "damaged"),
    "header of a WebP": (b"RIFF\0\0\0\0WEBPVP8 ", "damaged"),
    "header of a DICOM file": (bytes(128) + b"DICM", "without an image"),
    "header of a NIfTI file": (bytes(344) + b"n+1\0", "damaged"),
    "large": (png(8, 0, bytes(2), size=(2**15, 2**15))[:200], "too large to decode"),
    "empty": (b"", "is empty"),
    "text": (b"no image at all", "damaged or no PNG"),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_trap_is_an_error_that_names_the_file(tmp_path: Path, trap: str, channels: int) -> None:
    content, said = TRAPS[trap]
    path = tmp_path / "patient.png"
    path.write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(UserError, match=said) as caught:
        ReadImage(channels)(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_flipped_bits_and_cuts_never_give_other_pixels(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
    whole = saved(Image.fromarray(pixels), "PNG")
    flips = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(len(whole))]
    refused = 0
    for content in flips + [whole[:length] for length in range(len(whole))]:
        (tmp_path / "a.png").write_bytes(content)
        try:
            np.testing.assert_array_equal(ReadImage(channels=1)(tmp_path / "a.png"), pixels[None])
        except UserError:
            refused += 1
    assert refused > len(whole)


def test_bound_is_checked_before_decoding(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"too large to decode \(3 x 2\)"):
        ReadImage(channels=1, max_pixels=5)(tmp_path / "a.png")
    with pytest.raises(UserError, match="expands to more than 40 bytes"):
        ReadImage(channels=1, max_bytes=40)(tmp_path / "a.png")


def test_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.png: does not exist"):
        ReadImage(channels=1)(tmp_path / "none.png")
    with pytest.raises(UserError, match="is a folder"):
        ReadImage(channels=1)(tmp_path)


def test_image_of_an_npz_file(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    image = ReadImage(channels=1)(f"{path}#val_images[3]")
    np.testing.assert_array_equal(image, npz_content()["val_images"][3][None])
    image.zero_()
    assert ReadImage(channels=1)(f"{path}#val_images[3]").any()


def test_color_image_of_an_npz_file_comes_channel_first(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_images=np.stack([COLOR] * 10))
    np.testing.assert_array_equal(ReadImage(channels=3)(f"{path}#val_images[9]"), COLOR.transpose(2, 0, 1))


def test_volume_of_an_npz_file_gets_one_channel(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_images=np.zeros((10, 4, 5, 6), np.uint8))
    assert ReadImage(channels=1, spatial_dims=3)(f"{path}#val_images[0]").shape == (1, 4, 5, 6)


@pytest.mark.parametrize(
    ("images", "index", "said"),
    [
        (np.zeros((10, 8, 8), np.uint8), 10, "holds 10 images"),
        (np.zeros((10, 8, 8), np.float32), 0, "float32 values from 0 to 0 .* declare"),
        (np.zeros((10, 8, 8, 4), np.uint8), 0, "neither gray nor RGB"),
    ],
)
def test_wrong_npz_image_is_an_error(tmp_path: Path, images: np.ndarray, index: int, said: str) -> None:
    path = write_npz(tmp_path, val_images=images)
    with pytest.raises(UserError, match=said):
        ReadImage(channels=1)(f"{path}#val_images[{index}]")


@pytest.mark.parametrize("image", [GRAY, COLOR, GRAY.astype(np.uint16) * 100, GRAY.astype(np.float32) / 7])
def test_an_array_is_read_as_an_npz_file_that_holds_it(tmp_path: Path, image: np.ndarray) -> None:
    read = ReadImage(channels=3, intensity_range=(0, 250), clip=True)
    before = image.copy()
    np.savez(tmp_path / "a.npz", images=image[None])
    np.testing.assert_array_equal(read(image), read(f"{tmp_path}/a.npz#images[0]"))
    np.testing.assert_array_equal(image, before)


def test_an_array_of_another_shape_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"an array: shape \(2, 3, 4\) of uint8 is neither gray nor RGB in 2 dimensions"
    ):
        ReadImage(channels=1)(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(UserError, match=r"an array: .*intensity_range"):
        ReadImage(channels=1)(GRAY.astype(np.float32))


def test_deep_npz_image_is_scaled_as_declared(tmp_path: Path) -> None:
    path = write_npz(tmp_path, val_images=np.full((10, 8, 8), 1000, np.uint16))
    assert ReadImage(1, intensity_range=(0, 2000))(f"{path}#val_images[0]").unique().tolist() == [128]


@pytest.mark.parametrize(
    "option", [{"channels": 2}, {"spatial_dims": 4}, {"dtype": "int16"}, {"frame": -1}, {"frame": "some"}]
)
def test_wrong_option_is_an_error(option: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(option))}: must be"):
        ReadImage(**({"channels": 1} | option))


def test_float32_is_not_rounded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(16, 0, b"\x12\x34", (1, 1)))
    image = ReadImage(channels=1, dtype="float32")(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert image.item() == pytest.approx(0x1234 / 257)


def test_facts_come_with_the_pixels(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    image, facts = ReadImage(channels=3).read_with_facts(tmp_path / "a.png")
    assert image.shape == (3, 2, 3)
    assert facts == ImageFacts("PNG, 8-bit gray", 1, (2, 3), False, 1, 0, 200, (0, 255), None)
    assert describe_image(tmp_path / "a.png") == facts


def test_transform_is_pickled_with_its_rules(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(16, 0, b"\x00\x64", (1, 1)))
    read = pickle.loads(pickle.dumps(ReadImaged("image", 1, window=(100, 50))))
    assert read({"image": tmp_path / "a.png"})["image"].item() == 128


def test_dictionary_transform_leaves_the_item_alone(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    item = {"image": str(tmp_path / "a.png"), "label": 1}
    read = ReadImaged("image", channels=1)(item)
    assert read["label"] == 1
    assert not isinstance(read["image"], MetaTensor)
    assert item["image"] == str(tmp_path / "a.png")


@pytest.mark.parametrize("workers", [0, 2])
def test_cached_loader_gives_the_pixels(tmp_path: Path, workers: int) -> None:
    path = write_npz(tmp_path)
    items = [{"image": f"{path}#val_images[{index}]"} for index in range(10)]
    steps = Compose([ReadImaged("image", channels=1), ScaleIntensityRanged("image", 0, 255, 0, 1)])
    loader = DataLoader(CacheDataset(items, steps, num_workers=2, progress=False), batch_size=4, num_workers=workers)
    images = torch.cat([batch["image"] for batch in loader])
    np.testing.assert_allclose(images[:, 0], npz_content()["val_images"] / 255, rtol=1e-6)


def test_error_inside_a_cache_still_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(RuntimeError) as caught:
        CacheDataset([{"image": str(tmp_path / "broken.png")}], Compose([ReadImaged("image", channels=1)]))
    assert "broken.png" in str(find_user_error(caught.value))


def test_error_inside_a_worker_still_names_the_file(tmp_path: Path) -> None:
    dataset = CacheDataset(
        [{"image": str(tmp_path / "none.png")}], Compose([ReadImaged("image", channels=1)]), cache_num=0
    )
    batches = iter(DataLoader(dataset, num_workers=1))
    with pytest.raises(RuntimeError) as caught:
        next(batches)
    batches._shutdown_workers()  # torch waits five seconds for it when the iterator is collected
    assert "none.png: does not exist" in "".join(traceback.format_exception(caught.value))
