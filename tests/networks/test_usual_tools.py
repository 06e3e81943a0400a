"""What people do to a network: function transforms, tracers, other dtypes, hooks, parametrizations, replaced layers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from monai.networks import convert_to_torchscript
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode

from medmamba_monai.networks import MedMamba, fold_batch_norm

SHAPES = {2: (16, 20), 3: (8, 12, 8)}
ONE_STAGE = {"depths": (1,), "channels": (8,)}


def make_net(spatial_dims: int = 2, **options: Any) -> tuple[MedMamba, Tensor]:
    """Make a small network and two images for it."""
    torch.manual_seed(0)
    patch_size = 4 if spatial_dims == 2 else 2
    sizes = {"depths": (1, 1), "channels": (8, 16), "patch_size": patch_size, **options}
    net = MedMamba(spatial_dims, 3, 4, **sizes).eval()
    return net, torch.randn(2, 3, *SHAPES[spatial_dims])


def test_a_tangent_is_that_of_the_reference() -> None:
    net, x = make_net(**ONE_STAGE)
    x = x[..., :8, :12]
    truth = copy.deepcopy(net).double()
    for module in truth.modules():
        if hasattr(module, "scan_backend"):
            module.scan_backend = "reference"
    direction = torch.randn_like(x)
    found = torch.func.jvp(net, (x,), (direction,))[1].double()
    expected = torch.func.jvp(truth, (x.double(),), (direction.double(),))[1]
    assert (found - expected).norm() < 2e-6 * expected.norm()


def test_gradients_of_each_image() -> None:
    net, x = make_net()
    weights = {name: parameter.detach() for name, parameter in net.named_parameters()}

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(net, weights, (image[None],)), label[None])

    labels = torch.tensor([1, 3])
    together = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, x, labels)
    for image in range(2):
        net.zero_grad()
        functional.cross_entropy(net(x[image][None]), labels[image][None]).backward()
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(together[name][image], parameter.grad, rtol=1e-3, atol=1e-6)


def test_an_ensemble_of_stacked_weights() -> None:
    nets = [make_net()[0], make_net(drop_path_rate=0.2)[0]]
    nets[1].head.bias.data += 1
    weights, buffers = torch.func.stack_module_state(nets)
    _, x = make_net()
    found = torch.func.vmap(lambda *state: torch.func.functional_call(nets[0], state, (x,)))(weights, buffers)
    torch.testing.assert_close(found, torch.stack([net(x) for net in nets]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_trace_holds_plain_operations_and_takes_other_batches(spatial_dims: int) -> None:
    net, x = make_net(spatial_dims, **ONE_STAGE)
    x = x[..., :8, :8]
    traced = torch.jit.trace(net, x[:1])
    torch.testing.assert_close(traced(x), net(x), rtol=1e-4, atol=1e-6)
    assert "medmamba_monai::" not in str(traced.inlined_graph)


def test_monai_traces_the_network() -> None:
    net, x = make_net(**ONE_STAGE)
    x = x[..., :8, :8]
    traced = convert_to_torchscript(net, use_trace=True, inputs=[x], verify=True, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(traced(x), net(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_symbolic_trace_takes_other_sizes(spatial_dims: int, exportable: bool) -> None:
    net, x = make_net(spatial_dims, exportable=exportable)
    graph = torch.fx.symbolic_trace(net)
    for images in (x, x[:1, ..., :-4]):
        torch.testing.assert_close(graph(images), net(images))
    with pytest.raises(ValueError, match="smallest size of each is"):
        graph(x[..., :2])


@pytest.mark.parametrize("use_checkpoint", [False, True])
def test_a_symbolic_trace_of_a_training(use_checkpoint: bool) -> None:
    net, x = make_net(use_checkpoint=use_checkpoint, drop_path_rate=0.0)
    graph = torch.fx.symbolic_trace(net.train())
    graph(x).square().sum().backward()
    found = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    torch.testing.assert_close(found, [parameter.grad for parameter in net.parameters()], rtol=1e-3, atol=1e-5)


def test_an_exportable_network_needs_no_sorting() -> None:
    net, x = make_net(exportable=True, **ONE_STAGE)
    program = torch.export.export(net, (x[..., :8, :8],))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not {name for name in operators if "sort" in name or "medmamba_monai" in name}
    assert {"aten.index.Tensor", "aten.arange.default"} < operators


def test_the_flop_counter_counts_the_scans() -> None:
    net, x = make_net()
    with FlopCounterMode(display=False) as counter:
        net(x)
    scans = counter.get_flop_counts()["Global"][torch.ops.medmamba_monai.directional_scan_forward]
    channels = {20: 8, 4: 16}  # of a scan, by the tokens of its stage
    assert scans == sum(2 * tokens * 4 * c * (2 * 1 + 7 * 16 + 6) for tokens, c in channels.items())


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize(("dtype", "distance"), [(torch.float64, 1e-6), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_other_dtypes(dtype: torch.dtype, distance: float, exportable: bool) -> None:
    net, x = make_net(exportable=exportable)
    net.head.weight.data *= 20
    other = copy.deepcopy(net).to(dtype)
    logits = other(x.to(dtype))
    assert {logits.dtype, *(found.dtype for found in other.stage_features(x.to(dtype)))} == {dtype}
    assert (logits.double() - net(x)).norm() < distance * net(x).norm()
    other(x.to(dtype)).float().square().sum().backward()
    assert {parameter.grad.dtype for parameter in other.parameters()} == {dtype}
    assert torch.jit.script(other)(x.to(dtype)).dtype == dtype


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_layers(wrap: Any) -> None:
    net, x = make_net()
    wrapped = copy.deepcopy(net)
    for module in list(wrapped.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            wrap(module)
    wrap(wrapped.stages[0].blocks[0].ss2d, "x_proj_weight")
    wrapped(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in wrapped.parameters())
    if wrap is parametrizations.weight_norm:
        torch.testing.assert_close(wrapped(x), net(x), rtol=1e-4, atol=1e-6)
    wrapped.reset_classifier(3)
    assert wrapped(x).shape == (2, 3)


class LowRank(nn.Module):
    """A linear layer with a low-rank change beside it, as LoRA puts in its place."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = nn.Linear(layer.in_features, 2, bias=False), nn.Linear(2, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_layers_replaced_by_others(dtype: torch.dtype) -> None:
    net, x = make_net()
    adapted = copy.deepcopy(net)
    for name, module in list(adapted.named_modules()):
        if isinstance(module, nn.Linear):
            adapted.set_submodule(name, LowRank(module))
    logits = adapted.to(dtype)(x.to(dtype))
    torch.testing.assert_close(logits, net.to(dtype)(x.to(dtype)), rtol=1e-4, atol=1e-6)
    logits.square().sum().backward()
    assert all(module.up.weight.grad is not None for module in adapted.modules() if isinstance(module, LowRank))


@pytest.mark.parametrize("trained", ["head.", "ss2d.D", "ss2d.dt_weight", "embedding."])
def test_the_rest_can_be_frozen(trained: str) -> None:
    net, x = make_net()
    whole, _ = make_net()
    whole(x).square().sum().backward()
    expected = {name: parameter.grad for name, parameter in whole.named_parameters() if trained in name}
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(trained in name)
    net(x).square().sum().backward()
    found = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}
    torch.testing.assert_close(found, expected)


def test_hooks_run_on_every_module_and_see_maps_with_the_channels_first() -> None:
    net, x = make_net()
    seen: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda *_, name=name: seen.append(f"forward {name}"))
        module.register_full_backward_hook(lambda *_, name=name: seen.append(f"backward {name}"))
    net(x.requires_grad_()).sum().backward()
    assert set(seen) == {f"{way} {name}" for way in ("forward", "backward") for name, _ in net.named_modules()}


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.to(memory_format=torch.channels_last),
        lambda net: AveragedModel(net),
        lambda net: net.share_memory(),
        lambda net: nn.DataParallel(net),
        lambda net: fold_batch_norm(net),
    ],
)
def test_logits_stay_when_a_network_is_wrapped(change: Any) -> None:
    net, x = make_net()
    expected = net(x)
    torch.testing.assert_close(change(net)(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strided", [lambda x: x.mT.contiguous().mT, lambda x: x.to(memory_format=torch.channels_last)])
def test_strides_of_images_do_not_matter(strided: Any) -> None:
    net, x = make_net()
    torch.testing.assert_close(net(strided(x)), net(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exportable", [False, True])
def test_an_empty_batch(exportable: bool) -> None:
    net, x = make_net(exportable=exportable)
    logits = net(x[:0])
    logits.sum().backward()
    assert logits.shape == (0, 4)
    assert not any(parameter.grad.any() for parameter in net.parameters())


def test_a_network_without_memory_has_shapes_and_takes_weights() -> None:
    net, x = make_net()
    with torch.device("meta"):
        empty = MedMamba(2, 3, 4, depths=(1, 1), channels=(8, 16)).eval()
    assert empty(x.to("meta")).shape == (2, 4)
    empty.load_state_dict(net.state_dict(), assign=True)
    assert torch.equal(empty(x), net(x))
