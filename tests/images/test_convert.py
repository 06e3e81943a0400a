from __future__ import annotations

import pytest
import torch
from monai.transforms import Compose, EnsureTyped, RepeatChanneld, ScaleIntensityRanged

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.convert import ConvertImage
from medmamba_monai.images.transforms import ConvertImaged

ALL_BYTES = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize(("shape", "channels"), [((1, 16, 16), 1), ((1, 16, 16), 3), ((2, 4, 4, 8), 4)])
def test_numbers_are_those_of_monai(shape: tuple[int, ...], channels: int) -> None:
    item = {"image": ALL_BYTES.reshape(shape), "label": 1}
    monai = Compose(
        [
            RepeatChanneld("image", channels // shape[0]),
            ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=-1.0, b_max=1.0, clip=True),
            EnsureTyped("image", dtype=torch.float32, track_meta=False),
        ]
    )
    converted = ConvertImaged("image", channels)(item)
    assert torch.equal(converted["image"], monai(item)["image"])
    assert converted["image"].dtype == torch.float32
    assert converted["label"] == 1


def test_the_range_is_exact() -> None:
    assert ConvertImage(1)(torch.tensor([[0, 255]], dtype=torch.uint8)).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_not_changed(channels: int) -> None:
    image = ALL_BYTES.reshape(1, 16, 16).clone()
    ConvertImage(channels)(image).zero_()
    assert torch.equal(image, ALL_BYTES.reshape(1, 16, 16))


@pytest.mark.parametrize("image", [torch.zeros(1, 2, 2, dtype=torch.int16), torch.zeros(2, 2, 2, dtype=torch.uint8)])
def test_other_images_are_refused(image: torch.Tensor) -> None:
    with pytest.raises(UserError, match="cannot be converted to 3 channels: it must be uint8 or float32"):
        ConvertImage(3)(image)


def test_float_images_are_converted_and_left_alone() -> None:
    image = torch.tensor([[0.0, 127.5, 255.0]])
    assert ConvertImage(1)(image).tolist() == [[-1.0, 0.0, 1.0]]
    assert image.tolist() == [[0.0, 127.5, 255.0]]
