from __future__ import annotations

import pytest
import torch

from medmamba_monai.core.errors import UserError
from medmamba_monai.training import Execution, NetworkInferer
from medmamba_monai.training import precision as precisions
from medmamba_monai.training.precision import has_right_volume_gradients, resolve_precision
from tests.training.test_options import options

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("given", "taken"),
    [("auto", False), (False, False), ("False", False), ("false", False), ("bfloat16", "bfloat16")],
)
def test_precision_on_a_cpu(given, taken):
    assert resolve_precision(given, CPU) == taken
    made = options(amp=given)
    assert made.amp == made.values()["amp"] == taken


@pytest.mark.parametrize("given", [True, "True", "true", "float16"])
def test_float16_without_a_gpu_is_a_clear_error(given):
    with pytest.raises(UserError, match=f"--amp {given} needs a GPU, the device is cpu"):
        resolve_precision(given, CPU)


@pytest.mark.parametrize("given", ["fp16", 1, None, 0.5, [True]])
def test_what_is_no_precision_is_refused_with_all_there_are(given):
    with pytest.raises(UserError, match=r"give auto, bfloat16, float16, True \(float16\) or False"):
        resolve_precision(given, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_on_a_gpu_is_bfloat16_where_it_has_it():
    device = torch.device("cuda", 0)
    has = torch.cuda.get_device_capability(device) >= (8, 0)
    assert resolve_precision("auto", device) == ("bfloat16" if has else False)
    assert resolve_precision(True, device) == "float16"


def make_convolution(spatial_dims: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return (torch.nn.Conv2d, torch.nn.Conv3d)[spatial_dims - 2](16, 16, 3, padding=1)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_volumes_in_bfloat16_have_right_gradients_or_are_refused(planes: int) -> None:
    network, volumes = make_convolution(3), torch.randn(2, 16, planes, 4, 4)
    infer = NetworkInferer(Execution(CPU, "bfloat16"))
    if not has_right_volume_gradients():
        with pytest.raises(UserError, match=r"--amp bfloat16: PyTorch .* wrong gradients .* use --amp False"):
            infer(volumes, network)
        return
    NetworkInferer()(volumes, network).square().sum().backward()
    wanted = network.weight.grad.clone()
    network.zero_grad()
    infer(volumes, network).square().sum().backward()
    assert (network.weight.grad - wanted).norm() < 0.02 * wanted.norm()


def test_where_gradients_of_volumes_are_wrong_images_and_inference_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "has_right_volume_gradients", lambda: False)
    infer = NetworkInferer(Execution(CPU, "bfloat16"))
    infer(torch.zeros(2, 16, 4, 4), make_convolution(2)).sum().backward()
    with torch.no_grad():
        infer(torch.zeros(2, 16, 4, 4, 4), make_convolution(3))
    NetworkInferer()(torch.zeros(2, 16, 4, 4, 4), make_convolution(3)).sum().backward()
    with pytest.raises(UserError, match="use --amp False"):
        infer(torch.zeros(2, 16, 4, 4, 4), make_convolution(3))
