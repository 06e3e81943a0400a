"""The fused way through a block gives what its modules give, bit for bit on a CPU, and is left where somebody looks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medmamba_monai.networks import MedMamba, blocks
from medmamba_monai.networks.blocks import SSConvSSM
from medmamba_monai.networks.fused.block import can_fuse
from medmamba_monai.training.precision import has_right_volume_gradients

SHAPES = {2: (2, 3, 20, 36), 3: (2, 3, 8, 8, 16)}


def make_net(spatial_dims: int = 2, **options: Any) -> MedMamba:
    torch.manual_seed(0)
    sizes = {"depths": (2, 1), "channels": (8, 16), "drop_path_rate": 0.5, **options}
    return MedMamba(spatial_dims, 3, 4, **sizes)


def run(net: MedMamba, x: Tensor, half: bool) -> list[Tensor | None]:
    """Logits, gradients and buffers of a step."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits = net(x)
    logits.double().square().sum().backward()
    return [logits, x.grad, *(parameter.grad for parameter in net.parameters()), *net.buffers()]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_it_gives_the_bits_of_the_modules(
    spatial_dims: int, training: bool, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if half and spatial_dims == 3 and not has_right_volume_gradients():
        pytest.skip("PyTorch computes wrong gradients of volumes in bfloat16 on this CPU; a training is refused")
    fused = make_net(spatial_dims).train(training)
    plain, x = copy.deepcopy(fused), torch.randn(SHAPES[spatial_dims])
    taken: list[bool] = []
    monkeypatch.setattr(blocks, "can_fuse", lambda *given: taken.append(can_fuse(*given)) or taken[-1])
    found = run(fused, x, half)
    assert taken == [True] * 3
    monkeypatch.setattr(blocks, "can_fuse", lambda *given: False)
    assert all(torch.equal(one, other) for one, other in zip(found, run(plain, x, half), strict=True))


def test_float64_is_fused_too() -> None:
    net = make_net().double()
    assert can_fuse(net.stages[0].blocks[0], torch.zeros(2, 8, 4, 4, dtype=torch.float64))


def hook(block: Any) -> None:
    block.ss2d.out_norm.register_forward_hook(lambda *_: None)


def replace_forward(block: Any) -> None:
    block.conv_branch.act4.forward = lambda x: x


def parametrize(block: Any) -> None:
    nn.utils.parametrizations.weight_norm(block.ss2d.in_proj)


@pytest.mark.parametrize(
    "change",
    [
        hook,
        replace_forward,
        parametrize,
        lambda block: block.half(),
        lambda block: setattr(block, "use_checkpoint", True),
        lambda block: setattr(block, "drop_path", nn.Identity()),
        lambda block: setattr(block.ss2d, "exportable", True),
        lambda block: setattr(block.ss2d, "scan_backend", "reference"),
        lambda block: setattr(block.conv_branch, "norm2", nn.SyncBatchNorm(4)),
        lambda block: setattr(block.conv_branch, "norm2", nn.BatchNorm2d(4, momentum=None)),
    ],
)
def test_a_changed_block_goes_through_its_modules(change: Callable[[Any], Any]) -> None:
    block, x = SSConvSSM(2, 8), torch.zeros(2, 8, 4, 4)
    assert can_fuse(block, x)
    change(block)
    assert not can_fuse(block, x)


def test_function_transforms_and_single_tokens_go_through_the_modules() -> None:
    block = SSConvSSM(2, 8).eval()
    seen: list[bool] = []
    torch.func.vmap(lambda x: seen.append(can_fuse(block, x[None])) or x)(torch.zeros(2, 8, 4, 4))
    with torch.autograd.forward_ad.dual_level():
        seen.append(can_fuse(block, torch.zeros(2, 8, 4, 4)))
    seen.append(can_fuse(block, torch.zeros(1, 8, 1, 1)))
    assert seen == [False] * 3


def test_torch_compile_sees_one_graph() -> None:
    block, x = SSConvSSM(2, 8).eval(), torch.randn(2, 8, 4, 6)
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), block(x))
