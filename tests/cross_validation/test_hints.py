"""What a cross-validation says at its end: commands that work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from medmamba_monai.core.files import write_text
from medmamba_monai.cross_validation.running import open_folds
from medmamba_monai.evaluation.results.comparison import Inputs
from tests.cross_validation.test_plan import plan


@pytest.mark.parametrize(("inputs", "offered"), [("image", True), ("image and records", False), ("slides", True)])
def test_a_folder_of_images_is_offered_where_images_are_all_that_a_network_needs(
    small_bundle, tmp_path: Path, inputs: Inputs, offered: bool
):
    made = dataclasses.replace(plan(small_bundle, tmp_path), inputs=inputs)
    with open_folds(made) as running:
        write_text(running.folder.fold(0).result, "{}")
        said = running._where(1.0)
    assert "weights " in said
    assert ("monai.bundle run inference" in said) == offered
