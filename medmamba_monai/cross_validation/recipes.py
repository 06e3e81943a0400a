"""Recipes: overlays of a bundle's ``train.json`` that stand in its ``configs/recipes``, by their names."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from medmamba_monai.core.errors import UserError

PAPER = "paper"
"""The recipe of ``train.json`` itself, which is that of the paper (section 3.1)."""

FOLDER = "configs/recipes"


def split_recipe(recipe: str | Sequence[str]) -> list[str]:
    """Return one name or several, also as a text with commas, as a list without `PAPER`."""
    names = recipe.split(",") if isinstance(recipe, str) else list(recipe)
    return [name for name in (str(name).strip() for name in names) if name != PAPER]


def find_recipe_files(recipe: str | Sequence[str], bundle_root: Path) -> list[str]:
    """Return the overlays of a recipe, relative to the bundle, to be merged after ``train.json`` in this order.

    Args:
        recipe: a name, or several that are combined; ``paper`` stands for no overlay.
        bundle_root: folder of the bundle.

    Raises:
        UserError: the bundle has no recipe of that name; names the nearest, and all that it has. Or two recipes set the
            same value, of which one would be lost.
    """
    known = sorted(path.stem for path in (bundle_root / FOLDER).glob("*.json"))
    for name in split_recipe(recipe):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"--recipe {name}: {advice}{bundle_root / FOLDER} has {', '.join([PAPER, *known])}")
    files = [f"{FOLDER}/{name}.json" for name in split_recipe(recipe)]
    for first, second in itertools.combinations(files, 2):
        _check_together(bundle_root / first, bundle_root / second)
    return files


def _check_together(first: Path, second: Path) -> None:
    keys, others = (json.loads(path.read_text(encoding="utf-8")) for path in (first, second))
    both = [key for key in keys if key in others]
    if both:
        raise UserError(f"--recipe {first.stem},{second.stem}: both set {both[0].lstrip('+')}; choose one of them")
