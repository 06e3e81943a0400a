"""Which network weights fit, and what a search does that has begun with some."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from medmamba_monai.auto.contenders import plan_folds
from medmamba_monai.auto.networks import NETWORKS_TO_TRY
from medmamba_monai.auto.plan import Plan
from medmamba_monai.auto.run import run_plan
from medmamba_monai.auto.search import place_weights
from medmamba_monai.auto.starting_weights import OWN_NETWORK, _read_own_network, look_at_weights
from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.starting_weights import describe_starting_weights
from medmamba_monai.networks import build_network
from medmamba_monai.training import save_weights
from medmamba_monai.training.pretrained.weights_file import WeightsFile
from medmamba_monai.training.weights import write_weights
from tests.auto.test_plan import make_candidate, make_content
from tests.helpers.small_bundle import SMALL, SmallBundle
from tests.helpers.small_data import small_card

pytestmark = pytest.mark.usefixtures("own_process")

NETWORK = {"network_name": "medmamba", "depths": SMALL["depths"], "channels": SMALL["channels"]}
SIZES = {name: SMALL[name] for name in ("depths", "channels")}


def save(folder: Path, name: str, **sizes: Any) -> Path:
    network = build_network(name, 2, 3, 2, 64, **sizes)
    return save_weights(network, folder / "weights.pt", {"network_name": name})


def test_weights_of_a_network_to_try_are_taken_for_it(tmp_path: Path) -> None:
    first = NETWORKS_TO_TRY[0]
    sizes = {name: first.options[name] for name in ("depths", "channels")}
    file = save(tmp_path, "medmamba", **sizes)
    found = look_at_weights(file, small_card(), 5)
    assert (found.network, found.options) == ("medmamba_small", first.options)
    assert found.identity == describe_starting_weights(file, 5)
    assert "sha256:" in found.identity
    assert [note.partition(",")[0] for note in found.notes] == ["the head is drawn anew"]


def test_what_a_pretraining_left_is_taken_without_its_head(tmp_path: Path) -> None:
    network = build_network("medmamba", 2, 3, 2, 64, **SIZES)
    save_weights(network, tmp_path / "model.pt", {"network_name": "medmamba", "self_supervised": "contrastive"})
    found = look_at_weights(tmp_path, small_card(), 5)
    assert found.identity.startswith("self-supervised sha256:")
    assert found.notes == ("the head is drawn anew, since self-supervised weights know no classes",)


def test_weights_of_another_medmamba_bring_that(tmp_path: Path) -> None:
    found = look_at_weights(save(tmp_path, "medmamba", **SIZES), small_card(), 5)
    assert found.network == OWN_NETWORK
    assert found.options == {"network_name": "medmamba", **SIZES, "learning_rate": 0.001}


def test_the_header_tells_of_which_other_network_weights_are(tmp_path: Path) -> None:
    file = write_weights({"weight": torch.zeros(2)}, tmp_path / "weights.pt", {"network_name": "resnet50"})
    assert _read_own_network(WeightsFile(file)) == {"network_name": "resnet50", "learning_rate": 0.001}


def test_weights_that_fit_nothing_are_refused_with_what_was_tried(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"weights\.pt: fits none of .*medmamba_small, .*nothing says of which network"):
        look_at_weights(tmp_path / "weights.pt", small_card(), 5)


@pytest.fixture
def begun(small_bundle: SmallBundle, tmp_path: Path) -> Path:
    """The folder of a search with the bundle and its folds."""
    root = tmp_path / "found" / "bundles" / "phantom"
    shutil.copytree(small_bundle.root, root)
    shutil.copy(small_bundle.data_list, root / "folds.json")
    return tmp_path / "found"


def make_plan(bundle: SmallBundle, source: Path, identity: str, *probes: str | None) -> Plan:
    """A plan whose candidates all begin with the weights, as a training (None) or as probes."""
    values = {"image_size": 32, "batch_size": 8, "epochs": 2, "recipe": "paper", "num_folds": 2, "rounds": []}
    candidates = [make_candidate(probe or "trained", 1, **NETWORK, pretrained=True, probe=probe) for probe in probes]
    places = {"dataset_dir": str(bundle.dataset_dir), "pretrained": identity, "pretrained_place": str(source)}
    values["budget_seconds"] = 1e5  # however slow the machine of the tests is
    return Plan.model_validate({**make_content(candidates=candidates, baselines=[], **values), **places})


@pytest.mark.parametrize("probe", [None, "linear"])
def test_a_candidate_begins_with_the_weights_of_each_fold(begun, small_bundle, cross_validated, probe):
    source = cross_validated / "output"
    identity = describe_starting_weights(source, 2)
    plan = make_plan(small_bundle, source, identity, probe)
    folds = plan_folds(begun, plan, plan.candidates[0])
    assert folds.pretrained == plan.pretrained == identity
    assert folds.options.probe == probe
    assert str(source) not in json.dumps(folds.logged_parameters())


def test_other_weights_than_the_plan_names_are_refused(begun, small_bundle, cross_validated):
    plan = make_plan(small_bundle, cross_validated / "output", "run sha256:0", None)
    with pytest.raises(UserError, match=r"plan\.json: pretrained is run sha256:0, and .* holds run sha256:"):
        plan_folds(begun, plan, plan.candidates[0])
    nowhere = plan.model_copy(update={"pretrained_place": ""})
    with pytest.raises(UserError, match=r"trained begins with starting weights .*give --pretrained, too"):
        plan_folds(begun, nowhere, plan.candidates[0])
    without = plan.model_copy(update={"pretrained": None})
    with pytest.raises(UserError, match="was made without starting weights; give another --output"):
        place_weights(without, cross_validated / "output", begun / "plan.json")


def test_weights_that_saw_what_a_fold_is_judged_by_are_refused(begun, small_bundle, cross_validated):
    source = cross_validated / "output" / "fold_0"
    plan = make_plan(small_bundle, source, describe_starting_weights(source, 2), None)
    with pytest.raises(UserError, match="has seen images that fold 1 is validated or tested on"):
        plan_folds(begun, plan, plan.candidates[0])


@pytest.mark.long
def test_a_search_of_probes_ends_with_an_answer_and_says_why_there_is_no_package(begun, small_bundle, cross_validated):
    source = cross_validated / "output"
    make_plan(small_bundle, source, describe_starting_weights(source, 2), "linear", "knn").write(begun)
    shutil.copy(small_bundle.store, begun / "mlruns.db")  # its tables take seconds to make
    found = run_plan(begun)
    assert found.winner in ("linear", "knn")
    assert found.package is None
    assert not (begun / "package").exists()
    page = found.report.read_text()
    assert "There is no package: a probe of frozen features leaves no network." in page
    assert "linear probe on frozen medmamba" in page
    assert "A probe of frozen features has no epochs: it was finished in the first round" in page
    assert str(source) not in page
    record = json.loads((begun / "race.json").read_text())
    assert [(step["name"], step["fold"], step["epochs"]) for step in record["steps"]] == [
        ("linear", 0, 0),
        ("knn", 0, 0),
        (found.winner, 1, 0),
    ]
