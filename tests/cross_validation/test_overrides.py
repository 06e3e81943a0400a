"""Overrides of a cross-validation: one that would change nothing is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.cross_validation.overrides import check_overrides
from tests.cross_validation.test_plan import plan


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scalse", "--overrides scalse: the configs have no scalse; did you mean scales"),
        ("optimiser", "the configs have no optimiser; did you mean optimizer"),
        ("trian#trainer#max_epochs", "the configs have no trian; did you mean train"),
        ("+opt", "the configs have no opt; known are "),
    ],
)
def test_what_no_config_has_is_named_with_the_nearest(small_bundle, tmp_path: Path, name: str, said: str):
    with pytest.raises(UserError, match=said):
        plan(small_bundle, tmp_path, overrides={name: 1})


def test_what_the_training_or_the_evaluation_has_may_be_overridden(small_bundle):
    files = [small_bundle.config("train"), small_bundle.config("evaluate")]
    check_overrides({"train#trainer#max_epochs": 1, "scales": [1, 1.5], "+train#more_handlers": [], "epochs": 2}, files)
