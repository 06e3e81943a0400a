from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Resized
from PIL import Image

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.resize import ResizeImage, round_to_uint8
from medmamba_monai.images.transforms import ResizeImaged, ToUint8d


def random_image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def largest_difference(image: torch.Tensor, expected: np.ndarray) -> int:
    return int(np.abs(image.numpy().astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize("size", [(64, 64), (20, 45), (7, 3), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_as_pillow_scales_them(channels: int, size: tuple[int, int]) -> None:
    image = random_image(channels, 37, 28)
    scaled = ResizeImage(size)(image)
    assert (scaled.dtype, tuple(scaled.shape)) == (torch.uint8, (channels, *size))
    for plane, found in zip(image.numpy(), scaled, strict=True):
        expected = Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR)
        assert largest_difference(found, np.asarray(expected)) <= 1, "Pillow rounds after each of the two axes"


def test_images_that_grow_are_as_monai_scales_them() -> None:
    image = random_image(1, 28, 28)
    expected = Resized("image", spatial_size=(64, 64), mode="bilinear", anti_aliasing=True)({"image": image})["image"]
    assert largest_difference(ResizeImage((64, 64))(image), expected.numpy().round()) == 0


def test_volumes_are_scaled_along_each_axis() -> None:
    volume = random_image(2, 9, 8, 7)
    scaled = ResizeImage((4, 12, 5))(volume)
    assert tuple(scaled.shape) == (2, 4, 12, 5)
    expected = volume[1].numpy().astype(np.float32)
    for axis, size in enumerate((4, 12, 5)):
        lines = np.moveaxis(expected, axis, -1)
        flat = Image.fromarray(np.ascontiguousarray(lines.reshape(-1, lines.shape[-1])))
        flat = flat.resize((size, flat.height), Image.Resampling.BILINEAR)
        expected = np.moveaxis(np.asarray(flat).reshape(*lines.shape[:-1], size), -1, axis)
    assert largest_difference(scaled[1], expected.round()) <= 1


def test_constants_and_extremes_stay() -> None:
    for value in (0, 1, 255):
        assert (ResizeImage((13, 5))(torch.full((1, 8, 8), value, dtype=torch.uint8)) == value).all()


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = random_image(3, 8, 8)
    assert ResizeImage((8, 8))(image) is image


@pytest.mark.parametrize("image", [torch.zeros(1, 8, 8, dtype=torch.int16), torch.zeros(8, 8, dtype=torch.uint8)])
def test_other_images_are_refused(image: torch.Tensor) -> None:
    with pytest.raises(UserError, match="must be uint8 or float32 and have one axis more"):
        ResizeImage((8, 8))(image)


@pytest.mark.parametrize("size", [(8,), (8, 0), (1, 2, 3, 4)])
def test_other_sizes_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="spatial_size: give 2 or 3 positive numbers"):
        ResizeImage(size)


def test_the_dictionary_version_copies_the_item() -> None:
    item = {"image": random_image(1, 4, 4), "label": 1}
    scaled = ResizeImaged("image", (2, 2))(item)
    assert (tuple(scaled["image"].shape), scaled["label"]) == ((1, 2, 2), 1)
    assert tuple(item["image"].shape) == (1, 4, 4)


def test_halves_are_rounded_to_even_and_the_rest_to_the_nearest() -> None:
    values = torch.tensor([-0.5, 0.4, 0.5, 1.5, 2.5, 254.5, 254.6, 255.5])
    assert round_to_uint8(values).tolist() == [0, 0, 0, 2, 2, 254, 255, 255]


@pytest.mark.parametrize("values", [[-0.6, 1], [0, 256], [1, float("nan")], [float("inf"), 0]])
def test_what_no_byte_stands_for_is_refused(values: list[float]) -> None:
    with pytest.raises(UserError, match="do not round to 0-255"):
        ToUint8d("image")({"image": torch.tensor(values)})


def test_the_error_names_the_item() -> None:
    with pytest.raises(UserError, match="train/7, image: values from 0 to 300"):
        ToUint8d("image")({"id": "train/7", "image": torch.tensor([0, 300])})


@pytest.mark.parametrize(
    "image", [MetaTensor(torch.tensor([3.2])), np.array([3], np.int64), torch.tensor([3], dtype=torch.uint8)]
)
def test_rounded_images_are_plain_bytes(image: Any) -> None:
    rounded = ToUint8d("image")({"image": image})["image"]
    assert (type(rounded), rounded.dtype, rounded.tolist()) == (torch.Tensor, torch.uint8, [3])


def test_float_images_are_not_rounded() -> None:
    image = random_image(1, 8, 8)
    scaled = ResizeImage((5, 5))(image.float() + 0.25)
    assert scaled.dtype == torch.float32
    assert (scaled - ResizeImage((5, 5))(image).float()).abs().max() <= 0.75
