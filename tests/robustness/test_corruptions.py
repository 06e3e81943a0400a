from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.robustness import CORRUPTIONS, SEVERITIES
from medmamba_monai.robustness.corruptions import list_corruptions

IN_3D = [name for name, corruption in CORRUPTIONS.items() if 3 in corruption.spatial_dims]


def image(*shape: int) -> torch.Tensor:
    """A ramp with texture, whose values go from 30 to 220."""
    ramps = torch.meshgrid(*(torch.linspace(0, 1, size) for size in shape[1:]), indexing="ij")
    texture = 40 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return (30 + 150 * torch.stack(ramps).mean(0) + texture).round().to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_keeps_shape_and_type_and_becomes_worse_with_the_severity(name: str, channels: int) -> None:
    clean = image(channels, 128, 120)
    found = [CORRUPTIONS[name](clean, severity, "a") for severity in SEVERITIES]
    assert {(item.shape, item.dtype) for item in found} == {(clean.shape, torch.uint8)}
    costs = [float((item.double() - clean.double()).square().mean()) for item in found]
    assert 0 < costs[0] < costs[-1]


@pytest.mark.parametrize("name", IN_3D)
def test_volumes_of_floats(name: str) -> None:
    clean = image(1, 30, 32, 34).float()
    found = CORRUPTIONS[name](clean, 5, "a")
    assert (found.shape, found.dtype) == (clean.shape, torch.float32)
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    assert not torch.equal(found, clean)


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise", "impulse_noise", "shot_noise"])
def test_noise_is_drawn_from_the_id_alone(name: str) -> None:
    first, again, other = (CORRUPTIONS[name](image(1, 16, 16), 3, seed) for seed in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_strengths_mean_what_they_say() -> None:
    gray = torch.full((1, 64, 64), 100, dtype=torch.uint8)
    noise = CORRUPTIONS["gaussian_noise"](gray, 2, "a").double() - 100
    assert float(noise.std()) == pytest.approx(0.08 * 255, rel=0.05)
    hit = CORRUPTIONS["impulse_noise"](gray, 5, "a") != 100
    assert float(hit.double().mean()) == pytest.approx(0.17, abs=0.02)
    assert CORRUPTIONS["brightness_up"](gray, 5, "a").unique().tolist() == [150]
    assert CORRUPTIONS["contrast_down"](gray, 5, "a").unique().tolist() == [100]
    assert CORRUPTIONS["gamma_corr_up"](gray, 1, "a").unique().tolist() == [round(255 * (100 / 255) ** 1.1)]


def test_coarse_pixels_are_means() -> None:
    checks = (torch.arange(20)[:, None] + torch.arange(20)) % 2 * 200
    found = CORRUPTIONS["pixelate"](checks[None].to(torch.uint8), 5, "a")
    assert found.unique().tolist() == [100]


def test_blur_grows_with_the_image() -> None:
    widths = []
    for edge in (112, 224):
        dot = torch.zeros(1, edge, edge)
        dot[0, edge // 2, edge // 2] = 255
        row = CORRUPTIONS["gaussian_blur"](dot, 5, "a")[0, edge // 2].double()
        offsets = torch.arange(edge) - edge // 2
        widths.append(float((row * offsets**2).sum() / row.sum()) ** 0.5)
    assert widths[1] == pytest.approx(2.0, rel=0.05)
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("severity", [0, 6])
def test_another_severity_is_refused(severity: int) -> None:
    with pytest.raises(UserError, match=f"severity {severity}: does not exist; choose one of 1, 2, 3, 4, 5"):
        CORRUPTIONS["pixelate"](image(1, 8, 8), severity, "a")


def test_names_are_checked_for_the_dimensions() -> None:
    assert list_corruptions(2) == list(CORRUPTIONS)
    assert list_corruptions(3) == IN_3D
    assert list_corruptions(2, ["pixelate", "shot_noise"]) == ["shot_noise", "pixelate"]
    with pytest.raises(UserError, match=r"--corruption jpeg_compression: is not defined for 3D; choose from gaussian"):
        list_corruptions(3, ["jpeg_compression"])
    with pytest.raises(UserError, match=r"--corruption fog: does not exist; choose from gaussian_noise, .*"):
        list_corruptions(2, ["fog"])
    with pytest.raises(UserError, match="JPEG: is not defined for an image of the shape"):
        CORRUPTIONS["jpeg_compression"](image(1, 4, 4, 4), 1, "a")
