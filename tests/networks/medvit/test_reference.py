"""MedViT beside the official network: values, intermediate maps, gradients and buffers, from rebuilt weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medmamba_monai.networks.medvit import SIZES, MedViT

NAMES = {"T": "medvit_t", "S": "medvit_s", "L": "medvit_l"}
DOUBLE, SINGLE = 1e-9, 1e-4
STAGES = {"stage1": 2, "stage2": 6, "stage3": 16, "stage4": 19}
"""The last block of each stage of MedViT-T."""
ZERO = 1e-12


class Reference:
    """The official numbers, and what makes their weights and inputs."""

    def __init__(self, folder: Path) -> None:
        self.sizes = json.loads((folder / "medvit_state_dicts.json").read_text())
        self.numbers = np.load(folder / "medvit_micro.npz", allow_pickle=False)
        spec = importlib.util.spec_from_file_location("rebuild", folder / "rebuild.py")
        assert spec is not None
        assert spec.loader is not None
        self.rebuild: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.rebuild)

    def network(self, size: str, classes: int = 7, drop_path_rate: float = 0.0) -> MedViT:
        shapes = self.sizes[size]["state_dict"]
        state = self.rebuild.state_dict(shapes, num_classes=classes)
        with torch.device("meta"):
            network = MedViT(3, classes, depths=SIZES[NAMES[size]].depths, drop_path_rate=drop_path_rate)
        network.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in state.items()}, assign=True)
        return network.eval()

    def image(self, height: int, width: int) -> Tensor:
        return torch.from_numpy(self.rebuild.inputs(self.rebuild.SEED, 2, height, width))


@pytest.fixture(scope="module")
def reference(reference_dir: Path) -> Reference:
    return Reference(reference_dir / "medvit")


@pytest.fixture(scope="module")
def tiny(reference: Reference) -> MedViT:
    return reference.network("T")


def assert_close(found: Any, expected: Any, bound: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound * np.abs(expected).max())


def summarize(output: Tensor) -> tuple[Any, Any, Any]:
    return output.shape, [output.mean(), output.std(correction=0)], output.flatten()[:8]


@contextmanager
def record(network: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """Keep what layers return."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _, __, output: outputs.update({name: output.contiguous()})

    handles = [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    yield outputs
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("size", NAMES)
def test_keys_shapes_order_and_parameters_are_the_official_ones(reference: Reference, size: str) -> None:
    facts = reference.sizes[size]
    with torch.device("meta"):
        network = MedViT(3, 2, **SIZES[NAMES[size]]._asdict())
    assert [(key, list(value.shape)) for key, value in network.state_dict().items()] == [*facts["state_dict"].items()]
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["parameters"]
    assert [*SIZES[NAMES[size]].depths] == facts["depths"]
    assert SIZES[NAMES[size]].drop_path_rate == facts["path_dropout"]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 75)])
def test_logits_in_both_precisions(reference: Reference, tiny: MedViT, height: int, width: int) -> None:
    image = reference.image(height, width)
    expected = [reference.numbers[f"T/logits_{height}x{width}_c7_{kind}"] for kind in ("f32", "f64")]
    with torch.inference_mode():
        assert_close(tiny.float()(image), expected[0], SINGLE)
        assert_close(tiny.double()(image.double()), expected[1], DOUBLE)


@pytest.mark.long
def test_logits_of_the_largest_size(reference: Reference) -> None:
    network = reference.network("L").double()
    with torch.inference_mode():
        found = network(reference.image(64, 64).double())
    assert_close(found, reference.numbers["L/logits_64x64_c7_f64"], DOUBLE)


def test_every_block_and_the_layers_inside_three(reference: Reference, tiny: MedViT) -> None:
    start = "T/check_64x64"
    inner = sorted({key.split("/")[3] for key in reference.numbers.files if key.startswith(f"{start}/inner/")})
    blocks = [f"features.{block}" for block in range(20)]
    with record(tiny.double(), ["stem", *blocks, "norm", *inner]) as outputs, torch.inference_mode():
        tiny(reference.image(64, 64).double())
    found = {"stem": outputs["stem"], "norm": outputs["norm"], "pooled": outputs["norm"].mean((2, 3))}
    found |= {stage: outputs[f"features.{block}"] for stage, block in STAGES.items()}
    found |= {f"inner/{name}": outputs[name] for name in inner}
    assert len(inner) == 21
    for name, output in found.items():
        shape, *values = summarize(output)
        assert [*shape] == [*reference.numbers[f"{start}/{name}/shape"]], name
        for kind, value in zip(("mean_std", "first8"), values, strict=True):
            assert_close(value, reference.numbers[f"{start}/{name}/{kind}"], DOUBLE)
    sums = [[float(value) for value in summarize(outputs[block])[1]] for block in blocks]
    assert_close(sums, reference.numbers[f"{start}/blocks_mean_std"], DOUBLE)


@pytest.fixture(scope="module")
def trained(reference: Reference) -> tuple[MedViT, Tensor, Tensor]:
    """MedViT-T after a forward and a backward pass in training, with its logits and its loss."""
    network = reference.network("T", classes=2).double().train()
    logits = network(reference.image(96, 96).double())
    loss = functional.cross_entropy(logits, torch.from_numpy(reference.rebuild.labels(2, 2)))
    loss.backward()
    return network, logits.detach(), loss.detach()


@pytest.mark.long
def test_a_training_pass(reference: Reference, trained: tuple[MedViT, Tensor, Tensor]) -> None:
    for name, found in zip(("logits", "loss"), trained[1:], strict=True):
        assert_close(found, reference.numbers[f"T/train_96x96_c2/{name}"], DOUBLE)


@pytest.mark.long
def test_every_gradient(reference: Reference, trained: tuple[MedViT, Tensor, Tensor]) -> None:
    keys, norms, first = (reference.numbers[f"T/train_96x96_c2/grad_{kind}"] for kind in ("keys", "norm", "first4"))
    gradients = {name: parameter.grad for name, parameter in trained[0].named_parameters()}
    assert list(gradients) == list(keys)
    for gradient, norm, start in zip(gradients.values(), norms, first, strict=True):
        assert gradient is not None
        assert float(gradient.norm()) == pytest.approx(norm, rel=DOUBLE, abs=ZERO)
        assert gradient.flatten()[:4].tolist() == pytest.approx(
            start[: gradient.numel()], rel=1e-7, abs=DOUBLE * norm + ZERO
        )


@pytest.mark.long
def test_running_statistics(reference: Reference, trained: tuple[MedViT, Tensor, Tensor]) -> None:
    keys, norms = (reference.numbers[f"T/train_96x96_c2/buffer_{kind}"] for kind in ("keys", "norm"))
    buffers = {name: value for name, value in trained[0].named_buffers() if not name.endswith("num_batches_tracked")}
    assert sorted(buffers) == sorted(keys)
    assert_close([float(buffers[key].norm()) for key in keys], norms, DOUBLE)
