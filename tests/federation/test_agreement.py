"""Sites that do not fit together are refused before any of them trains, and what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation.agreement import check_agreement, describe_site
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import read_site
from tests.helpers.federation import make_sites
from tests.helpers.small_bundle import SmallBundle

SHARED = {"task": "binary", "class_names": ["a", "b"], "in_channels": 3, "image_size": 32, "num_folds": 2}


def say(**changes: Any) -> dict[str, Any]:
    return {"shared": {**SHARED, **changes}, "title": "T", "images": {}}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"class_names": ["b", "a"]}, r"class_names \['b', 'a'\], but site north \['a', 'b'\]"),
        ({"in_channels": 1}, "in_channels 1, but site north 3"),
        ({"image_size": 64}, "image_size 64, but site north 32"),
        ({"num_folds": 5}, "num_folds 5, but site north 2"),
    ],
)
def test_sites_that_differ_are_refused(changes, found):
    with pytest.raises(UserError, match=f"site south has {found}"):
        check_agreement({"north": say(), "south": say(**changes), "west": say()})


def test_sites_whose_kits_were_provisioned_apart_are_refused():
    check_agreement({site: {**say(), "encryption_key": "one"} for site in ("north", "south")})
    with pytest.raises(UserError, match=r"site south encrypts with another key than site north, .* same provisioning"):
        check_agreement({site: {**say(), "encryption_key": site} for site in ("north", "south")})


def test_sites_that_agree_are_taken_whatever_their_titles_and_numbers():
    check_agreement({"north": say(), "south": {**say(), "title": "Other", "images": {"train": [3, 4]}}})


def test_a_site_says_what_must_be_common_and_how_many_images_it_has(small_bundle: SmallBundle, tmp_path: Path):
    plan = Plan.of({"image_size": 32, "depths": [1, 1], "channels": [8, 16]}, "one")
    said = describe_site(read_site(make_sites(tmp_path, small_bundle, "north"), "north"), plan)
    assert said["shared"]["class_names"] == ["Normal (line)", "Nodule (blob)"]
    assert (said["shared"]["image_size"], said["shared"]["depths"]) == (32, [1, 1])
    assert said["images"] == {"train": [20, 20], "validation": [20, 20], "test": [20, 20]}
    text = json.dumps(said)
    assert str(small_bundle.root) not in text
    assert ".png" not in text
