from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import medmamba_monai.networks
from benchmarks import networks
from benchmarks.networks import (
    TITLES,
    Job,
    available,
    build_network,
    build_step,
    check_name,
    step_of,
    title_of,
    what_is_missing,
)
from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import NETWORKS, baselines
from medmamba_monai.networks.baselines import BASELINES


def parameters_of(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiplications(network: torch.nn.Module) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 224, 224))
    return counter.get_total_flops() / 2


def test_resnet50_is_the_standard_one() -> None:
    network = build_network("resnet50", num_classes=1000)
    assert parameters_of(network) == pytest.approx(25.56e6, rel=0.001)
    assert multiplications(network) == pytest.approx(4.1e9, rel=0.01)


def test_resnet50_is_channels_last() -> None:
    assert build_network("resnet50").network.conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("name", "of_package"), [("resnet50", "resnet50"), ("swin", "swin_t")])
def test_networks_of_the_package_are_those_that_it_trains(name: str, of_package: str) -> None:
    if BASELINES[of_package].package is not None:
        pytest.importorskip(BASELINES[of_package].package)
    torch.manual_seed(0)
    measured = build_network(name, num_classes=4).state_dict()
    torch.manual_seed(0)
    trained = medmamba_monai.networks.build_network(of_package, 2, 3, 4, 224).state_dict()
    assert all(torch.equal(measured[key], trained[key]) for key in measured.keys() | trained.keys())
    assert title_of(name) == NETWORKS[of_package]


def test_swin_is_the_tiny_one() -> None:
    pytest.importorskip("transformers")
    assert parameters_of(build_network("swin", num_classes=1000)) == pytest.approx(28.29e6, rel=0.001)


def test_vit_is_the_small_one_and_its_attention_is_fused(monkeypatch) -> None:
    pytest.importorskip("transformers")
    calls = []
    fused = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k), raising=True
    )
    network = build_network("vit", image_size=32, num_classes=1000).eval()
    assert parameters_of(build_network("vit", num_classes=1000)) == pytest.approx(22.05e6, rel=0.001)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    assert len(calls) == 12


def test_medmamba_takes_the_named_backend() -> None:
    backends = {
        name: build_network(name).stages[0].blocks[0].ss2d.scan_backend for name in ("medmamba", "medmamba:torch")
    }
    assert backends == {"medmamba": "auto", "medmamba:torch": "torch"}
    assert build_network("medmamba-loop").stages[0].blocks[0].ss2d.scan_backend == "reference"


def test_folded_medmamba_gives_the_same_logits_without_batch_norm() -> None:
    torch.manual_seed(0)
    plain = build_network("medmamba").eval()
    torch.manual_seed(0)
    folded = build_network("medmamba-folded")
    images = torch.randn(1, 3, 32, 32)
    norms = [sum(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules()) for net in (plain, folded)]
    with torch.no_grad():
        torch.testing.assert_close(folded(images), plain(images), rtol=1e-4, atol=1e-5)
    assert norms[1] < norms[0]


def test_titles_name_the_backend_and_the_dtype() -> None:
    assert title_of("medmamba:numba") == "MedMamba-T, numba"
    assert Job("resnet50", bfloat16=True).title == "ResNet-50, bfloat16"


@pytest.mark.parametrize("name", ["alexnet", "resnet50:numba", "medmamba:cuda"])
def test_an_unknown_network_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        check_name(name)


def test_missing_transformers_leaves_networks_out_and_names_the_extra(monkeypatch, capsys) -> None:
    for module in (networks, baselines):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert available(["resnet50", "swin", "vit"], 224) == ["resnet50"]
    printed = capsys.readouterr().out
    assert printed.count("needs transformers, which is missing: pip install 'medmamba-monai[baselines]'") == 2
    assert printed.startswith("Swin-T is left out: ")


def test_swin_says_that_it_needs_larger_images() -> None:
    pytest.importorskip("transformers")
    assert "takes images of 193 pixels or more" in what_is_missing("swin", 112)
    assert what_is_missing("swin", 224) is None
    with pytest.raises(UserError, match="193 pixels or more"):
        build_network("swin", 112)


@pytest.mark.long
def test_every_network_can_be_built_at_the_size_of_the_paper() -> None:
    pytest.importorskip("transformers")
    assert available(list(TITLES), 224) == list(TITLES)


def test_a_training_step_moves_parameters_and_inference_does_not() -> None:
    job = Job("resnet50", image_size=32, batch=2)
    network = build_network("resnet50")
    weight, before = network.network.fc.weight, network.network.fc.weight.clone()
    step_of(network, job)()
    assert torch.equal(weight, before)
    step_of(network, job._replace(training=True))()
    assert not torch.equal(weight, before)


def test_a_step_can_run_in_bfloat16() -> None:
    seen = []
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 6))
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    step_of(network, Job("medmamba", 32, bfloat16=True))()
    step_of(network, Job("medmamba", 32, training=True))()
    assert seen == [torch.bfloat16, torch.float32]


def test_a_forward_pass_can_record_gradients() -> None:
    seen = []
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 6))
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    step_of(network, Job("medmamba", 32))()
    step_of(network, Job("medmamba", 32, recording=True))()
    assert seen == [False, True]


@pytest.mark.long
@pytest.mark.parametrize("training", [False, True])
def test_libraries_are_loaded_before_memory_is_measured(training: bool) -> None:
    networks.load_libraries(Job("medmamba", training=training))
    build_step(Job("medmamba", 32, 2, training))()
