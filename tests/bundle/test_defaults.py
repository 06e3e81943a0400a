"""The defaults that a bundle's configs spell out are those of the package."""

from __future__ import annotations

import json

import pytest

from medmamba_monai.core.defaults import NUM_FOLDS, RESAMPLES
from tests.helpers.small_bundle import ROOT

CONFIGS = ROOT / "medmamba_monai" / "bundle" / "configs"


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("data", "num_folds", NUM_FOLDS),
        ("ensemble_inference", "num_folds", NUM_FOLDS),
        ("cross_validation", "bootstrap_resamples", RESAMPLES),
    ],
)
def test_defaults_of_configs_are_those_of_the_package(name: str, option: str, value: int) -> None:
    assert json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))[option] == value
