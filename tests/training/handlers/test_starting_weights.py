from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from safetensors.torch import load_file

from medmamba_monai import Bundle
from medmamba_monai.cards import load_card
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.data import read_fold_list
from medmamba_monai.networks import build_network
from medmamba_monai.training import GivenWeights, StartingWeights
from medmamba_monai.training.weights import read_description
from tests.helpers.small_bundle import SMALL, SmallBundle


@pytest.fixture
def starting(small_bundle: SmallBundle, cross_validated: Path) -> StartingWeights:
    network = build_network("medmamba", 2, 3, 2, 32, depths=SMALL["depths"], channels=SMALL["channels"])
    return StartingWeights(
        cross_validated / "output",
        1,
        network,
        load_card(small_bundle.root / "configs" / "card.json"),
        read_fold_list(small_bundle.data_list, small_bundle.dataset_dir),
        given_weights=GivenWeights(network),
    )


def run(starting: StartingWeights, epoch: int = 0) -> bool:
    """Start an engine; says whether the weights were loaded."""
    engine = Engine(lambda engine, batch: None)
    starting.attach(engine)
    engine.state.max_epochs, engine.state.epoch_length, engine.state.epoch = 2, 1, epoch
    engine.run([0])
    loaded = starting.networks[0].state_dict()
    return all(torch.equal(loaded[key], value) for key, value in load_file(starting.file.path).items())


def test_a_training_that_begins_starts_from_the_weights_of_its_fold(starting: StartingWeights) -> None:
    assert run(starting)
    assert starting.describe().startswith(
        f"run weights {starting.file.digest[:12]}, trained on phantom (fold 1); the head"
    )
    assert starting.identity == f"run sha256:{starting.file.digest}"


def test_a_training_that_goes_on_or_was_given_weights_keeps_its_own(starting: StartingWeights) -> None:
    assert not run(starting, epoch=1)
    assert starting.given_weights is not None
    starting.given_weights.found = True
    assert not run(starting)


@pytest.mark.usefixtures("own_process")
def test_a_training_from_weights_goes_on_bit_by_bit_and_from_no_others(
    small_bundle: SmallBundle, cross_validated: Path, tmp_path: Path
) -> None:
    def train(name: str, epochs: int, **changes: Any) -> dict[str, torch.Tensor]:
        places = {"output_dir": str(tmp_path / name), "ckpt_dir": str(tmp_path / name), "tracking_uri": ""}
        given = {**small_bundle.options(tmp_path, bundle_root=None, **places), "pretrained": start, **changes}
        Bundle(small_bundle.root).train(fold=0, **{**given, "epochs": epochs})
        (newest,) = (tmp_path / name / "checkpoints").glob(f"checkpoint_epoch={epochs:04d}.pt")
        return dict(torch.load(newest, weights_only=True)["stateful"]["network"])

    start = tmp_path / "fold_0"
    shutil.copytree(RunFolder(cross_validated / "output").fold(0), start)
    whole = train("whole", 2)
    train("stopped", 1)
    assert all(torch.equal(whole[name], value) for name, value in train("stopped", 2).items())
    with pytest.raises(UserError, match="was trained with pretrained 'run sha256:"):
        train("stopped", 3, pretrained=None)
    (origin,) = read_description(tmp_path / "whole" / "model.pt")["pretrained"]["trained_on"]
    assert (origin["dataset"], origin["fold"]) == ("phantom", 0)
    journal = [json.loads(line) for line in (tmp_path / "whole" / "tracking.jsonl").read_text().splitlines()]
    assert any("run weights" in json.dumps(entry) and "the head is taken" in json.dumps(entry) for entry in journal)
    assert str(tmp_path) not in (tmp_path / "whole" / "tracking.jsonl").read_text()
