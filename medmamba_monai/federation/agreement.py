"""What sites must have in common before any of them trains, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medmamba_monai.bundle.workflow import contain_workflow, open_workflow
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Flag
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.site import Site

Facts = Mapping[str, Any]
SHARED = "shared"
"""The facts that must be equal."""
KEY = "encryption_key"
"""Digest of the key that a site encrypts with, a fact where it does."""


def describe_site(site: Site, plan: Plan) -> dict[str, Any]:
    """Return what a site says of its bundle and its folds: no path, no name of a file, a patient or an image.

    Args:
        site: the site.
        plan: of the federation, whose options go before those of the bundle.

    Raises:
        UserError: bundle or folds are missing, or do not fit the data.
    """
    with contain_workflow():
        parser = open_workflow(site.root, ("train",), "training", site.values(plan, 0), {}).parser
        card, fold_list, options = (parser.get_parsed_content(name) for name in ("card", "fold_list", "options"))
        shared = {
            "task": card.task,
            "class_names": parser.get_parsed_content("class_names"),
            "in_channels": parser.get_parsed_content("in_channels"),
            "spatial_dims": parser.get_parsed_content("spatial_dims"),
            **options.select(Flag.WEIGHTS),
            "reading": fold_list.reading,
            "num_folds": fold_list.num_folds,
            "seed": options.seed,
        }
    parts = [fold_list.parts(fold) for fold in range(fold_list.num_folds)]
    counts = {part: [len(of_fold[part]) for of_fold in parts] for part in ("train", "validation", "test")}
    return {SHARED: shared, "title": card.title, "images": counts}


def check_agreement(facts: Mapping[str, Facts]) -> None:
    """Refuse sites whose networks or images do not fit together.

    Args:
        facts: what each site said, by its name.

    Raises:
        UserError: two sites differ in something that must be equal; names both, and what they have.
    """
    first, *others = sorted(facts)
    expected = facts[first][SHARED]
    for name in others:
        if facts[name].get(KEY) != facts[first].get(KEY):
            raise UserError(
                f"site {name} encrypts with another key than site {first}, and what both send cannot be added: NVFlare "
                "makes a new key whenever it provisions; give all sites the startup kits of the same provisioning"
            )
        found = facts[name][SHARED]
        for key in expected:
            if found.get(key) != expected[key]:
                raise UserError(
                    f"site {name} has {key} {found.get(key)!r}, but site {first} {expected[key]!r}, and no network is "
                    "common to both; make both bundles of the same card, or give the federation an option that holds "
                    "for all, such as --image_size"
                )
