from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import MedMamba, baselines
from medmamba_monai.networks import registry as choice
from medmamba_monai.networks.baselines import BASELINES
from medmamba_monai.networks.registry import NETWORKS, build_network

SMALL: dict[str, Any] = {"depths": (1, 2), "channels": (8, 16)}
# Of the official code, at 6 classes.
OFFICIAL = {
    "medmamba": 14_457_222,
    "medmamba_tiny": 14_457_222,
    "medmamba_small": 18_625_158,
    "medmamba_base": 39_864_838,
}


def build(name: str = "medmamba", image_size: int = 224, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return build_network(name, 2, 3, 6, image_size, **options)


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_titles_are_there_for_all_networks() -> None:
    assert list(NETWORKS)[:4] == ["medmamba", "medmamba_tiny", "medmamba_small", "medmamba_base"]
    assert NETWORKS["medmamba_tiny"] == "MedMamba-T"
    assert {name: NETWORKS[name] for name in BASELINES} == {name: part.title for name, part in BASELINES.items()}


@pytest.mark.parametrize("name", OFFICIAL)
def test_medmamba_has_the_official_number_of_parameters(name: str) -> None:
    assert parameters_of(build(name)) == OFFICIAL[name]


def test_depths_channels_rate_and_backend_arrive() -> None:
    found = build_network("medmamba", 3, 1, 2, 8, **SMALL, drop_path_rate=0.5, scan_backend="torch")
    torch.manual_seed(0)
    assert isinstance(found, MedMamba)
    assert [len(stage.blocks) for stage in found.stages] == [1, 2]
    last = found.stages[1].blocks[1]
    assert (last.drop_path.drop_prob, last.ss2d.scan_backend) == (0.5, "torch")
    assert found(torch.zeros(2, 1, 8, 8, 8)).shape == (2, 2)


def test_recomputing_is_of_the_scan_branches_alone() -> None:
    found = build_network("medmamba", 2, 1, 2, 32, **SMALL, grad_checkpointing=True)
    assert all(block.use_checkpoint for stage in found.stages for block in stage.blocks)
    with pytest.raises(UserError, match="network 'resnet18' has no scan to recompute: leave out grad_checkpointing"):
        build_network("resnet18", 2, 1, 2, 32, grad_checkpointing=True)


def test_none_is_the_default_of_the_network() -> None:
    assert build("medmamba_tiny").stages[-1].blocks[-1].drop_path.drop_prob == pytest.approx(0.1)


def test_a_seed_draws_the_network_that_the_class_draws() -> None:
    torch.manual_seed(5)
    expected = MedMamba(2, 1, 3, **SMALL).state_dict()
    torch.manual_seed(5)
    found = build_network("medmamba", 2, 1, 3, 64, **SMALL).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_a_baseline_gives_logits() -> None:
    assert build("resnet18", 28).eval()(torch.zeros(2, 3, 28, 28, device="meta")).shape == (2, 6)


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet-50", "resnet50"), ("MedMamba_T", "medmamba"), ("vit_b_16", "vit_b16"), ("swin", "swin_t")],
)
def test_an_unknown_name_suggests_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"{name!r} does not exist: did you mean '{near}"):
        build(name)


def test_an_unknown_name_lists_all_where_none_is_near() -> None:
    with pytest.raises(UserError, match=r"'42' does not exist: There are medmamba, .*convnext_b"):
        build("42")


@pytest.mark.parametrize("name", ["medmamba_tiny", "resnet18", "swin_t"])
@pytest.mark.parametrize("option", ["depths", "channels"])
def test_sizes_are_refused_by_networks_that_have_their_own(name: str, option: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*{option}=\[2, 2\] was given: only 'medmamba'"):
        build(name, **{option: [2, 2]})


@pytest.mark.parametrize("name", BASELINES)
def test_a_scan_backend_is_refused_by_networks_without_a_scan(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*no scan.*scan_backend='torch'"):
        build(name, scan_backend="torch")


def test_an_unknown_scan_backend_is_refused() -> None:
    with pytest.raises(UserError, match="scan backend 'cuda' does not exist"):
        build("medmamba_tiny", scan_backend="cuda")


@pytest.mark.parametrize(("sizes", "smallest"), [({}, 32), (SMALL, 8)])
def test_images_that_are_too_small_for_a_medmamba_are_refused(sizes: dict[str, Any], smallest: int) -> None:
    build("medmamba", smallest, **sizes)
    with pytest.raises(UserError, match=rf"{smallest} pixels or more, not image_size={smallest - 1}"):
        build("medmamba", smallest - 1, **sizes)


@pytest.mark.parametrize("name", ["medmamba", "resnet18"])
@pytest.mark.parametrize("option", ["in_channels", "num_classes", "image_size"])
@pytest.mark.parametrize("value", [0, 1.5, "64"])
def test_what_is_no_positive_integer_is_refused(name: str, option: str, value: Any) -> None:
    counts = {"in_channels": 1, "num_classes": 2, "image_size": 64, option: value}
    with pytest.raises(UserError, match=f"{option} got {value!r}"):
        build_network(name, 2, **counts)


@pytest.mark.parametrize("module", [baselines, choice])
def test_libraries_of_the_baselines_are_imported_when_one_is_built(module: ModuleType) -> None:
    top = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    modules = {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    outside = {name for name in modules if name.startswith(("monai", "transformers", "einops"))}
    assert outside <= {"monai.data"}
