"""The file of a site, the options of a federation, and sites with generated images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.phantom_sites import shift_intensities
from medmamba_monai.federation.site import read_site, read_sites


def write_site(folder: Path, name: str, **content: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"bundle": "bundle", **content}))


def test_paths_are_relative_to_the_file_of_the_site(tmp_path: Path, small_bundle):
    write_site(tmp_path, "north", bundle=str(small_bundle.root), dataset_dir="images", num_workers=2)
    plan = Plan.of({"image_size": 32, "run_name": "first"}, "one")
    values = read_site(tmp_path, "north").values(plan, 3)
    assert values["dataset_dir"] == str(tmp_path / "images")
    assert values["output_dir"] == str(tmp_path / "output" / "north" / "first" / "fold_3")
    assert (values["image_size"], values["fold"], values["num_workers"], values["tracking_uri"]) == (32, 3, 2, "")
    assert "data_list" not in values


@pytest.mark.parametrize(
    ("content", "message"), [({"dataset": "x"}, "dataset: Extra inputs"), ({"num_workers": "many"}, "num_workers: ")]
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, content, message):
    write_site(tmp_path, "north", **content)
    with pytest.raises(UserError, match=rf"north\.json: {message}"):
        read_site(tmp_path, "north")


@pytest.mark.parametrize(("names", "found"), [([], "none"), (["north"], r"north\.json")])
def test_a_federation_needs_two_sites(tmp_path: Path, names, found):
    for name in names:
        write_site(tmp_path, name)
    with pytest.raises(UserError, match=f"each of two or more sites, found {found}"):
        read_sites(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"round": 3}, "no option round; did you mean rounds"),
        ({"privacy": "much"}, "--privacy 'much': give none, percentile, svt, encryption"),
        ({"proximal": -1}, "--proximal -1"),
        ({"dataset_dir": "images"}, "no option dataset_dir"),
    ],
)
def test_options_that_do_not_fit_are_refused(given, message):
    with pytest.raises(UserError, match=message):
        Plan.of(given, "one")


def test_a_plan_is_the_same_after_its_way_to_a_site():
    plan = Plan.of({"rounds": 3, "folds": [0, 2], "depths": [1, 1], "learning_rate": 0.01}, "one")
    assert Plan.from_message(json.loads(json.dumps(plan.to_message()))) == plan


def test_another_machine_shows_images_darker_and_with_less_contrast():
    image = np.array([[0, 128, 255]], np.uint8)
    assert shift_intensities(image, 0).tolist() == image.tolist()
    first, second = (shift_intensities(image, site)[0].tolist() for site in (1, 2))
    assert first == [0, 77, 217]
    assert second == [0, 45, 178]
