"""Measuring networks with the training of each kind of bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from medmamba_monai.auto.speed import measure_speed
from medmamba_monai.core.errors import UserError

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
TINY = {"network_name": "medmamba", "depths": [1], "channels": [8], "image_size": 16}


@pytest.mark.parametrize("name", ["pneumoniamnist", "chestmnist", "nodulemnist3d", "retinamnist"])
def test_networks_of_any_task_and_dimension_are_measured(name: str) -> None:
    speed = measure_speed(BUNDLES / name, TINY, 4, 0)
    assert speed.forward > 0
    assert 0 < speed.step < 30
    assert 0 < speed.memory_gib < 0.1


def test_the_memory_of_a_step_is_that_of_its_batch() -> None:
    one, four = (measure_speed(BUNDLES / "pneumoniamnist", TINY, size, 0).memory_gib for size in (4, 16))
    assert 3 < four / one < 4.1


def test_a_network_that_does_not_take_the_images_is_an_error() -> None:
    with pytest.raises(UserError, match=r"29 pixels or more"):
        measure_speed(BUNDLES / "pneumoniamnist", {"network_name": "densenet121", "image_size": 16}, 4, 0)
