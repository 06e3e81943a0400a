"""Descriptions of overrides: equal for equal ones, and another wherever something else would be trained."""

from __future__ import annotations

import functools
import json
import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from monai.losses import FocalLoss
from monai.transforms import Compose, RandAdjustContrastd, RandFlipd, RandRotated
from torch import nn

from medmamba_monai.bundle.describe import describe_overrides
from tests.helpers.small_bundle import ROOT, run_command


def first(item: Any) -> Any:
    return item


def second(item: Any) -> Any:
    return item


def scale_by(factor: float) -> Any:
    return lambda item: item * factor


class Scaled(nn.Module):
    """A loss that keeps its argument under another name."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.factor = weight


class Circular:
    """An object that holds itself."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.owner = self


PAIRS = {
    "functions": (lambda: first, lambda: second),
    "closures": (lambda: scale_by(2), lambda: scale_by(3)),
    "lambdas": (lambda: lambda item: item + 1, lambda: lambda item: item + 2),
    "called functions": (lambda: lambda item: math.sin(item), lambda: lambda item: math.cos(item)),
    "partials": (lambda: functools.partial(first, item=1), lambda: functools.partial(first, item=2)),
    "methods": (lambda: Circular(1).__init__, lambda: Circular(2).__init__),
    "transforms": (lambda: RandFlipd("image", prob=0.1), lambda: RandFlipd("image", prob=0.2)),
    "inner options": (lambda: RandFlipd("image", spatial_axis=0), lambda: RandFlipd("image", spatial_axis=1)),
    "compositions": (
        lambda: Compose([RandFlipd("image", prob=0.1)]),
        lambda: Compose([RandFlipd("image", prob=0.2)]),
    ),
    "losses": (lambda: FocalLoss(gamma=2), lambda: FocalLoss(gamma=5)),
    "class weights": (
        lambda: nn.CrossEntropyLoss(torch.tensor([1.0, 2])),
        lambda: nn.CrossEntropyLoss(torch.tensor([1.0, 3])),
    ),
    "renamed arguments": (lambda: Scaled(1), lambda: Scaled(2)),
    "networks": (
        lambda: nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1)),
        lambda: nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.2)),
    ),
    "circles": (lambda: Circular(1), lambda: Circular(2)),
    "arrays": (lambda: np.zeros(5000), lambda: np.eye(5000, 1)[:, 0]),
    "sets": (lambda: {"a", "b"}, lambda: {"a", "c"}),
    "types": (lambda: torch.float16, lambda: torch.float32),
    "long ones": (lambda: ["x" * 9000, 1], lambda: ["x" * 9000, 2]),
    "lists": (lambda: [FocalLoss(gamma=2), 1], lambda: [FocalLoss(gamma=3), 1]),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_equal_ones_are_equal_and_others_are_not(pair):
    one, other = PAIRS[pair]
    assert describe_overrides({"part": one()}) == describe_overrides({"part": one()})
    assert describe_overrides({"part": one()}) != describe_overrides({"part": other()})


@pytest.mark.parametrize(
    "transform",
    [
        RandFlipd("image", prob=1.0),
        RandRotated("image", range_x=0.5, prob=1.0),
        RandAdjustContrastd("image", prob=1.0),
    ],
)
def test_what_an_object_drew_does_not_count(transform):
    before = describe_overrides({"part": transform})
    transform({"image": torch.rand(1, 8, 8)})
    assert describe_overrides({"part": transform}) == before


def test_training_a_network_does_not_count():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = describe_overrides({"network": network.eval()})
    network.train()(torch.rand(2, 1, 5, 5))
    nn.init.zeros_(network[0].weight)
    assert describe_overrides({"network": network}) == before


def test_a_long_text_fits_a_parameter_of_mlflow():
    assert len(describe_overrides({"part": "x" * 9000})) < 6000


def test_plain_values_stay_as_they_are():
    assert json.loads(describe_overrides({"b": 1, "a": [None, True, 0.5, "text"]})) == {
        "a": [None, True, 0.5, "text"],
        "b": 1,
    }


def test_the_next_process_says_the_same(tmp_path):
    code = "from tests.bundle.test_describe import describe_all; print(describe_all())"
    _, told = run_command([sys.executable, "-W", "ignore", "-c", code], tmp_path, PYTHONPATH=str(ROOT))
    assert told.splitlines()[-1:] == [describe_all()], told


def describe_all() -> str:
    return describe_overrides({name: one() for name, (one, _) in PAIRS.items()})
