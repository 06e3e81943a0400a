from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from medmamba_monai.cards import DatasetCard
from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import build_network, to_official_state_dict
from medmamba_monai.networks.film import FiLM
from medmamba_monai.training import save_weights
from medmamba_monai.training.pretrained.fit import FittedWeights, fit_weights, match_classes
from medmamba_monai.training.pretrained.weights_file import CLASS_INDICES, WeightsFile
from tests.helpers.small_data import small_card

SIZES: dict[str, Any] = {"depths": [1, 1], "channels": [8, 16]}
THREE = [{"name": name, "display_name": name.title()} for name in ("wart", "mole", "acne")]
CARD = small_card(classes=THREE, task="multi-class", expected_counts={})


def network(seed: int, name: str = "medmamba", channels: int = 1, classes: int = 3, **sizes: Any) -> nn.Module:
    torch.manual_seed(seed)
    given = {**SIZES, **sizes} if name == "medmamba" else sizes
    return build_network(name, 2, channels, classes, 64, **given)


def fit(path: Path, target: nn.Module, card: DatasetCard = CARD) -> FittedWeights:
    fitted = fit_weights(WeightsFile(path), target, card)
    target.load_state_dict(fitted.state)
    return fitted


def official(tmp_path: Path, source: nn.Module, names: list[str] | None) -> Path:
    torch.save(to_official_state_dict(source), tmp_path / "official.pth")
    if names is not None:
        (tmp_path / CLASS_INDICES).write_text(json.dumps({str(row): name for row, name in enumerate(names)}))
    return tmp_path / "official.pth"


def body(net: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value for key, value in net.state_dict().items() if not key.startswith(("head.", "embedding.conv."))}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("names", [["acne", "mole", "wart"], ["wart", "Mole", "ACNE"], ["mole", "acne", "wart"]])
def test_an_official_head_in_any_order_gives_each_class_its_own_logit(tmp_path, names):
    source, target = network(0), network(1)
    fitted = fit(official(tmp_path, source, names), target)
    images = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        before, after = source.eval()(images), target.eval()(images)
    for label, shown in enumerate(CARD.class_names):
        torch.testing.assert_close(after[:, label], before[:, [name.lower() for name in names].index(shown)])
    assert ("order of the card" in fitted.notes[0]) == (names[0] != "wart")


@pytest.mark.parametrize(
    ("names", "said"),
    [(None, "nothing says which classes"), (["wart", "mole", "burn"], "other classes (wart, mole, burn)")],
)
def test_an_official_head_is_drawn_anew_where_its_classes_are_not_known_to_be_the_cards(tmp_path, names, said):
    source, target = network(0), network(1)
    drawn = target.head.weight.detach().clone()
    fitted = fit(official(tmp_path, source, names), target)
    assert said in fitted.notes[0]
    assert torch.equal(target.head.weight, drawn)
    assert_equal(body(target), body(source))


def test_names_for_another_number_of_rows_are_refused(tmp_path):
    with pytest.raises(UserError, match="its head has 3 rows, but 2 classes are named"):
        fit(official(tmp_path, network(0), ["wart", "mole"]), network(1))


def test_a_damaged_file_of_names_is_named(tmp_path):
    path = official(tmp_path, network(0), ["wart"])
    (tmp_path / CLASS_INDICES).write_text('{"1": "wart"}')
    with pytest.raises(UserError, match=CLASS_INDICES):
        fit(path, network(1))


def test_our_own_weights_bring_the_names_of_their_classes(tmp_path):
    source, target = network(0), network(1)
    save_weights(source, tmp_path / "model.pt", {"class_names": ["Mole", "Wart", "Acne"]})
    fit(tmp_path / "model.pt", target)
    assert torch.equal(target.head.weight, source.head.weight[[1, 0, 2]])
    assert torch.equal(target.head.bias, source.head.bias[[1, 0, 2]])


def test_another_number_of_classes_keeps_the_body(tmp_path):
    source, target = network(0, classes=7), network(1)
    save_weights(source, tmp_path / "model.pt", {"class_names": list("abcdefg")})
    assert "other classes" in fit(tmp_path / "model.pt", target).notes[0]
    assert_equal(body(target), body(source))


def test_weights_without_a_head_fit(tmp_path):
    source, target = network(0), network(1)
    source.reset_classifier(0)
    save_weights(source, tmp_path / "model.pt")
    assert fit(tmp_path / "model.pt", target).notes == ("the head is drawn anew, the file has none",)
    assert_equal(body(target), body(source))


@pytest.mark.parametrize(("name", "old", "new"), [("medmamba", 3, 1), ("medmamba", 1, 3), ("resnet18", 3, 1)])
def test_a_stem_for_other_channels_sees_gray_images_as_before(tmp_path, name, old, new):
    source, target = network(0, name, old), network(1, name, new)
    save_weights(source, tmp_path / "model.pt", {"class_names": ["wart", "mole", "acne"]})
    fitted = fit(tmp_path / "model.pt", target)
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        before, after = (net.eval()(gray.expand(-1, count, -1, -1)) for net, count in ((source, old), (target, new)))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert (
        fitted.notes[1] == f"the stem is made for {new} input channels of {old}: the mean over them, times {old}/{new}"
    )


@pytest.mark.parametrize("records", [None, 3])
def test_the_medmamba_of_a_film_takes_the_weights_and_its_records_begin_anew(tmp_path, records):
    source, target = network(0), FiLM(network(1), 2)
    held = source if records is None else FiLM(source, records)
    save_weights(held, tmp_path / "model.pt", {"class_names": ["wart", "mole", "acne"]})
    drawn = {key: value.clone() for key, value in target.state_dict().items() if not key.startswith("network.")}
    assert fit(tmp_path / "model.pt", target).notes == (
        "the head is taken",
        "the layers of the clinical records begin anew",
    )
    assert_equal(dict(target.network.state_dict()), dict(source.state_dict()))
    assert_equal({key: target.state_dict()[key] for key in drawn}, drawn)


def test_a_network_of_images_does_not_take_weights_of_records(tmp_path):
    save_weights(FiLM(network(0), 2), tmp_path / "model.pt", {"records": ["age", "sex"]})
    with pytest.raises(UserError, match=r"beside images \(age, sex\), which this network is not given; use the recipe"):
        fit(tmp_path / "model.pt", network(1))


def test_a_header_beside_other_weights_is_not_taken_for_theirs(tmp_path):
    save_weights(network(0), tmp_path / "model.pt", {"class_names": ["wart", "mole", "acne"]})
    torch.save(network(2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"model\.pt: model\.safetensors beside it holds other weights"):
        fit(tmp_path / "model.pt", network(1))


def test_of_many_other_classes_the_first_are_named(tmp_path):
    source = network(0, classes=1000)
    save_weights(source, tmp_path / "model.pt", {"class_names": [f"class {row}" for row in range(1000)]})
    assert "class 7 and 992 more" in fit(tmp_path / "model.pt", network(1)).notes[0]


def test_a_medmamba_of_other_depths_is_refused_with_the_options_that_fit(tmp_path):
    with pytest.raises(UserError, match=r'depths \[1, 2\], not \[1, 1\]; pass --depths "\[1, 2\]"'):
        fit(official(tmp_path, network(0, depths=[1, 2]), None), network(1))


@pytest.mark.parametrize(("held", "wanted"), [("resnet18", "medmamba"), ("medmamba", "resnet18")])
def test_weights_of_another_kind_of_network_are_refused(tmp_path, held, wanted):
    save_weights(network(0, held), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"another network than a MedMamba|does not fit the network"):
        fit(tmp_path / "model.pt", network(1, wanted))


def test_reading_weights_draws_no_random_numbers(tmp_path):
    path, target = official(tmp_path, network(0), None), network(1)
    torch.manual_seed(5)
    fit_weights(WeightsFile(path), target, CARD)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize("names", [["wart", "mole"], ["wart", "wart", "acne"], ["wart", "mole", "acne", "burn"]])
def test_classes_that_are_not_the_cards_one_by_one_do_not_match(names):
    assert match_classes(names, CARD) is None
