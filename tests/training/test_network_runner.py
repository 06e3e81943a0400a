from __future__ import annotations

import logging

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from medmamba_monai import MedMamba
from medmamba_monai.training import Execution, NetworkInferer
from medmamba_monai.training.cuda_graphs import GraphMismatch, compare, keep_state
from medmamba_monai.training.network_runner import ExecutedStep, NetworkRunner

GRAPHS = Execution(graphs=True)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


class Recorder:
    """Stands where a GPU records: maps batches as the network does, and keeps their sizes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.recorded, self.launched = error, 0, []

    def __call__(self, step: nn.Module, images: torch.Tensor):
        self.recorded += 1
        if self.error is not None:
            raise self.error
        return lambda batch: (self.launched.append(len(batch)), step(batch))[1]


def test_a_last_smaller_batch_runs_outside_of_the_graph():
    recorder = Recorder()
    run = NetworkRunner(make_network(), GRAPHS, recorder)
    shapes = [run(torch.rand(size, 1, 2, 2)).shape[0] for size in (4, 4, 3, 4)]
    assert shapes == [4, 4, 3, 4]
    assert (recorder.recorded, recorder.launched) == (1, [4, 4, 4])


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted\nlong story"), GraphMismatch("differs")])
def test_a_network_that_cannot_be_recorded_runs_as_it_is_and_a_line_says_so(caplog, error):
    recorder = Recorder(error)
    network = make_network().eval()
    run = NetworkRunner(network, GRAPHS, recorder)
    images = torch.rand(4, 1, 2, 2)
    assert torch.equal(run(images), network(images))
    assert torch.equal(run(images), network(images))
    assert recorder.recorded == 1
    (line,) = [record.message for record in caplog.records]
    assert line == f"no CUDA graph, each kernel is launched on its own: {str(error).splitlines()[0]}"


def test_gradients_that_are_there_already_are_never_given_to_a_graph(caplog):
    """A graph writes its gradients where those of the batch before may still lie."""
    recorder = Recorder()
    run = NetworkRunner(make_network(), GRAPHS, recorder)
    for _ in range(3):
        run(torch.rand(4, 1, 2, 2)).sum().backward()
    assert recorder.launched == [4]
    assert [record.message for record in caplog.records] == [
        "gradients are added up over batches; these are launched without CUDA graphs"
    ]
    run.step.zero_grad()
    run(torch.rand(4, 1, 2, 2))
    assert recorder.launched == [4, 4]


def test_weights_in_another_place_are_recorded_anew():
    recorder = Recorder()
    network = make_network()
    run = NetworkRunner(network, GRAPHS, recorder)
    images = torch.rand(4, 1, 2, 2)
    run(images)
    network.load_state_dict(make_network().state_dict())
    run(images)
    assert recorder.recorded == 1
    network[1].weight.data = network[1].weight.data.clone()
    run(images)
    assert recorder.recorded == 2


def test_another_mode_than_the_recorded_one_runs_outside():
    recorder = Recorder()
    network = make_network()
    run = NetworkRunner(network, GRAPHS, recorder)
    run(torch.rand(4, 1, 2, 2))
    network.eval()
    run(torch.rand(4, 1, 2, 2))
    assert recorder.launched == [4]


def test_recording_leaves_statistics_and_random_numbers_as_they_were():
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with keep_state(network, torch.device("cpu")):
        network(torch.rand(4, 1, 2, 2))
        assert network[2].num_batches_tracked == 1
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_graph_that_gives_something_else_is_found_out():
    expected = torch.tensor([1.0, -50.0])
    compare(expected, expected + 0.5)
    compare(torch.full((2,), torch.nan), torch.full((2,), torch.nan))
    with pytest.raises(GraphMismatch, match="differs from the network by 2"):
        compare(expected, expected + 2)
    with pytest.raises(GraphMismatch):
        compare(expected, torch.tensor([1.0, torch.nan]))


def test_without_gradients_the_network_runs_in_inference_mode_and_its_output_is_an_ordinary_tensor():
    seen = []

    class Network(nn.Module):
        def forward(self, images):
            seen.append((torch.is_inference_mode_enabled(), type(images)))
            return images * 2

    infer = NetworkInferer()
    images = torch.rand(2, 1, 2, 2)
    with torch.no_grad():
        output = infer(MetaTensor(images), Network())
    assert not output.is_inference()
    assert torch.equal(output.mul_(0.5), images)
    infer(images, Network())
    assert seen == [(True, torch.Tensor), (False, torch.Tensor)]


def test_further_arguments_reach_the_network():
    class Network(nn.Module):
        def forward(self, images, shift, scale):
            return images * scale + shift

    found = NetworkInferer(GRAPHS)(torch.ones(1), Network(), 3, scale=2)
    assert found.item() == 5


def test_in_bfloat16_the_network_computes_in_it_and_answers_in_float32():
    images = torch.rand(2, 1, 32, 32)
    torch.manual_seed(0)
    network = MedMamba(2, 1, 2, depths=(1, 1), channels=(8, 16), scan_backend="torch").eval()
    kinds = []
    network.head.register_forward_hook(lambda module, args, output: kinds.append(output.dtype))
    infer = NetworkInferer(Execution(precision="bfloat16"))
    output = infer(images, network)
    assert (kinds, output.dtype) == ([torch.bfloat16], torch.float32)
    output.sum().backward()
    assert all(weight.grad.dtype == torch.float32 for weight in network.parameters() if weight.grad is not None)
    torch.testing.assert_close(output, network(images), rtol=0, atol=0.05)


@pytest.mark.slow
def test_a_compiled_network_answers_as_itself_keeps_its_names_and_says_how_long_it_took(caplog, monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp_cache_precompile_headers", False)
    caplog.set_level(logging.INFO, "medmamba_monai.training")
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    names = list(network.state_dict())
    infer = NetworkInferer(Execution(compiles=True))
    with torch.no_grad():
        for size in (4, 4, 3):
            images = torch.rand(size, 1, 2, 2)
            torch.testing.assert_close(infer(images, network), network(images))
    assert list(network.state_dict()) == names
    begun, ended = [record.message for record in caplog.records]
    assert begun == "torch.compile compiles the network now, which can take minutes"
    assert ended.startswith("torch.compile took ")


def train(execution: Execution, device: torch.device, steps: int = 6) -> list[torch.Tensor]:
    """Train a small MedMamba with dropped paths on batches of 4, and one of 3; return losses, weights, statistics."""
    torch.manual_seed(0)
    network = MedMamba(2, 1, 2, depths=(1, 1), channels=(16, 32), patch_size=2, drop_path_rate=0.3).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    infer = NetworkInferer(execution)
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        images = torch.randn(3 if step == 4 else 4, 1, 32, 32).to(device)
        labels = torch.arange(len(images), device=device) % 2
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(infer(images, network), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    with torch.no_grad():
        network.eval()
        answers = [infer(images[:3], network) for _ in range(2)]
    return [torch.stack(losses), *answers, *network.state_dict().values()]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", [False, "bfloat16", "float16"])
def test_a_graphed_training_is_that_without_graphs(caplog, precision):
    """Also its dropped paths, batch statistics, smaller batch and inference."""
    device = torch.device("cuda", 0)
    eager = train(Execution(device, precision), device)
    graphed = train(Execution(device, precision, graphs=True), device)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    tolerance = 1e-5 if precision is False else 2e-2
    for expected, found in zip(eager, graphed, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.slow
@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_training_on_a_gpu_is_near_that_of_the_network(graphs):
    device = torch.device("cuda", 0)
    eager = train(Execution(device), device)
    compiled = train(Execution(device, compiles=True, graphs=graphs), device)
    torch.testing.assert_close(compiled[0], eager[0], rtol=1e-2, atol=1e-2)


@pytest.mark.gpu
@needs_gpu
def test_a_graph_for_inference_follows_weights_that_are_loaded_later():
    device = torch.device("cuda", 0)
    network = make_network().to(device).eval()
    infer = NetworkInferer(Execution(device, graphs=True))
    images = torch.rand(4, 1, 2, 2, device=device)
    with torch.no_grad():
        infer(images, network)
        network.load_state_dict({name: value + 1 for name, value in network.state_dict().items()})
        torch.testing.assert_close(infer(images, network), network(images))


def test_a_step_wraps_the_network_without_changing_its_mode():
    network = make_network().eval()
    step = ExecutedStep(network, Execution())
    assert step.training
    assert not network.training
