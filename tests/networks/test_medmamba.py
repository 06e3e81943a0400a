from __future__ import annotations

import copy
import doctest
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks import convert_to_torchscript, eval_mode
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.networks import (
    MedMamba,
    load_official_checkpoint,
    medmamba,
    medmamba_base,
    medmamba_small,
    medmamba_tiny,
    to_official_state_dict,
)
from medmamba_monai.networks.blocks import SS2D, SSConvSSM, TokenMerging
from medmamba_monai.selective_scan import backends

SMALL: dict[str, Any] = {"depths": (1, 2), "channels": (8, 16)}
CASES = [
    ({"spatial_dims": 2, "in_channels": 1, "num_classes": 2, **SMALL}, (2, 1, 16, 24)),
    (
        {
            "spatial_dims": 2,
            "in_channels": 3,
            "num_classes": 5,
            "depths": (1,),
            "channels": (16,),
            "use_checkpoint": True,
        },
        (1, 3, 21, 17),
    ),
    ({"spatial_dims": 2, "in_channels": 2, "num_classes": 1, "patch_size": 2, "state_size": 4, **SMALL}, (2, 2, 9, 7)),
    ({"spatial_dims": 3, "in_channels": 1, "num_classes": 3, "patch_size": 2, **SMALL}, (2, 1, 8, 10, 9)),
    ({"spatial_dims": 3, "in_channels": 2, "num_classes": 4, "scan_backend": "torch", **SMALL}, (1, 2, 8, 8, 16)),
    ({"spatial_dims": 3, "in_channels": 1, "num_classes": 2, "exportable": True, **SMALL}, (1, 1, 8, 8, 8)),
]


def small_net(**options: Any) -> MedMamba:
    return MedMamba(**{"spatial_dims": 2, "in_channels": 3, "num_classes": 4, **SMALL, **options})


@pytest.fixture(scope="module")
def reference(reference_dir: Path) -> dict[str, np.ndarray]:
    with np.load(reference_dir / "official_micro.npz", allow_pickle=False) as archive:
        return dict(archive)


def official_net(reference: dict[str, np.ndarray]) -> MedMamba:
    return load_official_checkpoint(
        {key.removeprefix("state/"): torch.from_numpy(value) for key, value in reference.items() if "state/" in key}
    )


def relative_error(value: Tensor, truth: np.ndarray) -> float:
    return float(np.linalg.norm(value.detach().double().numpy() - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize(("arguments", "input_shape"), CASES)
def test_shape(arguments: dict[str, Any], input_shape: tuple[int, ...]) -> None:
    net = MedMamba(**arguments)
    with eval_mode(net):
        assert net(torch.randn(input_shape)).shape == (input_shape[0], arguments["num_classes"])


@pytest.mark.parametrize(("arguments", "input_shape"), CASES)
def test_script_save(arguments: dict[str, Any], input_shape: tuple[int, ...], tmp_path: Path) -> None:
    net, inputs = MedMamba(**arguments).eval(), [torch.randn(input_shape)]
    convert_to_torchscript(net, tmp_path / "net.ts", verify=True, inputs=inputs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", ["square", "odd"])
def test_official_logits(reference: dict[str, np.ndarray], shape: str) -> None:
    net = official_net(reference)
    with eval_mode(net):
        logits = net(torch.from_numpy(reference[f"input_{shape}"]))
    assert relative_error(logits, reference[f"logits_{shape}"]) < 1e-5


def test_official_loss_and_gradients(reference: dict[str, np.ndarray]) -> None:
    net = official_net(reference).train()
    for block in (module for module in net.modules() if isinstance(module, SSConvSSM)):
        block.drop_path = nn.Identity()
    logits = net(torch.from_numpy(reference["input_square"]))
    loss = functional.cross_entropy(logits, torch.from_numpy(reference["train_labels"]))
    loss.backward()
    assert loss.item() == pytest.approx(float(reference["train_loss"]), rel=1e-4)
    for parameter in net.parameters():
        parameter.data = parameter.grad
    for key, gradient in to_official_state_dict(net).items():
        rounding_noise = key.endswith(("conv33conv33conv11.1.bias", "conv33conv33conv11.4.bias"))
        if f"grad/{key}" in reference and not rounding_noise:
            assert relative_error(gradient, reference[f"grad/{key}"]) < 1e-4, key


@pytest.mark.parametrize(
    ("build", "size"), [(medmamba_tiny, "tiny"), (medmamba_small, "small"), (medmamba_base, "base")]
)
def test_official_parameter_count(reference_dir: Path, build: Any, size: str) -> None:
    manifest = json.loads((reference_dir / "official_state_dicts.json").read_text())[size]
    assert sum(parameter.numel() for parameter in build(num_classes=6).parameters()) == manifest["parameters"]


@pytest.mark.parametrize(("spatial_dims", "directions"), [(2, 4), (3, 6)])
def test_scan_parameters_are_drawn_as_in_the_paper(spatial_dims: int, directions: int) -> None:
    scan = SS2D(spatial_dims, in_channels=48)
    dt = functional.softplus(scan.dt_bias.detach())
    assert torch.allclose(-scan.A_log.exp(), -torch.arange(1.0, 17).expand(directions, 96, 16))
    assert torch.equal(scan.D, torch.ones(directions, 96))
    assert 0.0009 < dt.min() < 0.0015
    assert 0.07 < dt.max() < 0.1001
    assert dt.log().mean().item() == pytest.approx((math.log(1e-3) + math.log(0.1)) / 2, abs=0.3)
    assert scan.dt_weight.abs().max().item() == pytest.approx(3**-0.5, rel=0.02)
    assert scan.x_proj_weight.abs().max().item() == pytest.approx(96**-0.5, rel=0.01)


def test_linear_and_convolution_weights_are_drawn_as_in_the_paper() -> None:
    net = small_net(channels=(64, 128), patch_size=8)
    block = net.stages[1].blocks[0]
    deviations = {  # standard deviation by layer: 0.02 for a linear one, sqrt(2 / fan-out) for a convolution
        net.stages[0].merging.reduction: 0.02,
        block.ss2d.in_proj: 0.02,
        block.conv_branch.conv1: math.sqrt(2 / (64 * 9)),
        block.ss2d.conv: math.sqrt(2 / (128 * 9)),
        net.embedding.conv: math.sqrt(2 / (64 * 64)),
    }
    for layer, deviation in deviations.items():
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.1), layer


def test_linear_biases_are_zero_and_those_of_convolutions_are_not() -> None:
    net = small_net()
    assert torch.equal(net.head.bias, torch.zeros(4))
    assert 0 < net.stages[0].blocks[0].conv_branch.conv1.bias.abs().max() <= (4 * 9) ** -0.5


@pytest.mark.parametrize("shape", [(1, 3, 7, 8), (1, 3, 8, 7), (1, 4, 8, 8), (3, 8, 8), (1, 3, 8, 8, 8)])
def test_input_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"3 channels and 2 spatial axes, the smallest size of each is 8; got the shape"
    ):
        small_net()(torch.zeros(shape))


def test_smallest_input() -> None:
    net = small_net()
    with eval_mode(net):
        assert net(torch.zeros(1, 3, net.smallest_size, net.smallest_size)).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 1}, "spatial_dims=1"),
        ({"in_channels": 0}, "in_channels got 0"),
        ({"num_classes": 2.0}, r"num_classes got 2\.0"),
        ({"num_classes": -1}, r"num_classes got -1"),
        ({"act": "reluu"}, r"act='reluu' is no activation layer of MONAI"),
        ({"norm": "batchh"}, r"norm='batchh' is no normalization layer of MONAI for \[4, 8\] channels"),
        ({"norm": ("group", {"num_groups": 3})}, r"num_groups.*must be divisible"),
        ({"depths": (1, 1, 1)}, r"depths=\(1, 1, 1\) and channels=\(8, 16\)"),
        ({"depths": (1, 0)}, "depths got 0"),
        ({"channels": (8, 15)}, "use even numbers"),
        ({"patch_size": -1}, "patch_size got -1"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate=1\.0"),
        ({"scan_backend": "cuda"}, "'cuda' does not exist"),
    ],
)
def test_arguments_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_net(**options)


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 7)])
def test_merging_crops_odd_maps_and_prints_nothing(shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]) -> None:
    merging = TokenMerging(len(shape), 6, 10)
    x = torch.randn(2, 6, *shape)
    even = x[(slice(None), slice(None), *(slice(size // 2 * 2) for size in shape))]
    assert torch.equal(merging(x), merging(even))
    assert capsys.readouterr() == ("", "")


def test_merging_in_3d_goes_on_with_the_order_of_2d() -> None:
    merging = TokenMerging(3, 2, 16)
    x = torch.randn(1, 4, 2, 6, 2)
    neighbors = [x[:, i::2, j::2, k::2] for k in (0, 1) for j in (0, 1) for i in (0, 1)]
    expected = merging.reduction(merging.norm(torch.cat(neighbors, dim=-1)))
    assert torch.allclose(merging(x.movedim(-1, 1)), expected.movedim(-1, 1))


def test_drop_path_acts_on_the_scan_branch_alone() -> None:
    block, x = SSConvSSM(2, 8, drop_path=1.0).train(), torch.randn(2, 8, 4, 4)
    change = block(x) - x
    assert torch.equal(change[:, 1::2], torch.zeros(2, 4, 4, 4))
    assert change[:, 0::2].abs().max() > 0


def test_drop_path_rate_grows_from_block_to_block() -> None:
    net = small_net(depths=(1, 3), drop_path_rate=0.3)
    rates = [module.drop_path.drop_prob for module in net.modules() if isinstance(module, SSConvSSM)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_it_can_be_built_without_memory() -> None:
    with torch.device("meta"):
        net = small_net()
    assert all(parameter.is_meta for parameter in net.parameters())


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    plain = small_net(drop_path_rate=0.0)
    frugal = small_net(drop_path_rate=0.0, use_checkpoint=True)
    frugal.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 16, 16)
    for net in (plain, frugal):
        net(x).square().sum().backward()
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-7)
    assert all(torch.equal(one, other) for one, other in zip(plain.buffers(), frugal.buffers(), strict=True))


def bytes_for_backward(net: MedMamba) -> int:
    """Count what a forward pass keeps for the backward pass."""
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        net(torch.randn(1, 3, 32, 32))
    return sum(sizes)


def test_checkpointing_stores_less_for_the_backward_pass() -> None:
    net = small_net()
    plain = bytes_for_backward(net)
    net.set_grad_checkpointing()
    assert bytes_for_backward(net) == bytes_for_backward(small_net(use_checkpoint=True)) < 0.7 * plain
    net.set_grad_checkpointing(enable=False)
    assert bytes_for_backward(net) == plain


def test_the_torch_backend_by_name_saves_what_auto_saves_where_it_falls_back_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_name, exportable = (
        bytes_for_backward(small_net(**o)) for o in ({"scan_backend": "torch"}, {"exportable": True})
    )
    monkeypatch.setattr(backends, "FASTEST_FIRST", ("torch",))
    assert bytes_for_backward(small_net(scan_backend="auto")) == by_name
    assert by_name < exportable / 2  # the plain operations keep every state


def test_parameter_groups_spare_a_d_norms_and_biases() -> None:
    net = small_net()
    decaying, constant = net.parameter_groups(weight_decay=0.05)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    kinds = {names[id(parameter)].rsplit(".", 1)[-1] for parameter in decaying["params"]}
    assert (decaying["weight_decay"], constant["weight_decay"]) == (0.05, 0.0)
    assert kinds == {"weight", "x_proj_weight", "dt_weight"}
    assert not any("norm" in names[id(parameter)] for parameter in decaying["params"])
    assert len(decaying["params"]) + len(constant["params"]) == len(names)
    torch.optim.AdamW([decaying, constant], lr=1e-3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_give_the_same_logits(copied: Any) -> None:
    net, x = small_net().eval(), torch.randn(1, 3, 16, 16)
    assert torch.equal(copied(net)(x), net(x))


EXPORTABLE = [("auto", False), ("torch", False), ("auto", True), ("torch", True), ("numba", True)]


@pytest.mark.parametrize(("scan_backend", "exportable"), EXPORTABLE)
def test_torchscript_holds_a_custom_operator_unless_it_is_exportable(scan_backend: str, exportable: bool) -> None:
    scripted = torch.jit.script(small_net(scan_backend=scan_backend, exportable=exportable).eval())
    assert ("medmamba_monai::" in str(scripted.inlined_graph)) != exportable


def test_a_network_becomes_exportable_and_goes_back() -> None:
    net, x = small_net().eval(), torch.randn(1, 3, 16, 16)
    logits = net(x)
    for enable in (True, False):
        net.set_exportable(enable)
        torch.testing.assert_close(net(x), logits, rtol=1e-5, atol=1e-6)
        assert ("medmamba_monai::" in str(torch.jit.script(net).inlined_graph)) != enable


def test_torchscript_refuses_what_does_not_fit() -> None:
    with pytest.raises(torch.jit.Error, match="the smallest size of each is 8"):
        torch.jit.script(small_net().eval())(torch.zeros(1, 3, 4, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scan_backend", "exportable"),
    [pytest.param(*case, marks=[] if case in EXPORTABLE[2:3] else [pytest.mark.long]) for case in EXPORTABLE],
)
def test_export(scan_backend: str, exportable: bool) -> None:
    net = small_net(depths=(1, 1), scan_backend=scan_backend, exportable=exportable).eval()
    batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(net, (torch.randn(2, 3, 8, 16),), dynamic_shapes=batch)
    x = torch.randn(3, 3, 8, 16)
    assert torch.allclose(program.module()(x), net(x), rtol=1e-5, atol=1e-6)
    assert ("medmamba_monai" in str(program.graph)) != exportable


@pytest.mark.parametrize("options", [{"scan_backend": "auto"}, {"scan_backend": "torch"}, {"exportable": True}])
def test_autocast(options: dict[str, Any]) -> None:
    net, x = small_net(drop_path_rate=0.0, **options), torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    logits.float().square().sum().backward()
    assert torch.allclose(logits.float(), net(x), atol=0.05)
    assert all(p.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters())


def test_metatensor_gives_the_logits_of_a_tensor() -> None:
    net, x = small_net().eval(), torch.randn(1, 3, 16, 16)
    logits = net(MetaTensor(x))
    assert type(logits) is Tensor
    assert torch.equal(logits, net(x))


def test_docstring_examples() -> None:
    assert doctest.testmod(medmamba).attempted > 0
    assert doctest.testmod(medmamba).failed == 0
