"""The options of a bundle, checked before anything is built from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from medmamba_monai.core.errors import UserError
from medmamba_monai.data import check_cache

SMALLEST = {"epochs": 1, "batch_size": 1, "image_size": 1, "val_interval": 1, "patience": 0, "num_workers": 0}
"""Whole numbers among the options, and the smallest value of each."""

LARGEST = {"learning_rate": math.inf, "weight_decay": math.inf, "drop_path_rate": 1.0}
"""Numbers from 0 among the options, and the largest value of each."""

MAY_BE_NONE = ("drop_path_rate", "weight_decay")
"""Options that may be None, which leaves the choice to the network or the recipe."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check the numbers that a user gives to a bundle, before anything is built from them.

    Args:
        options: values by name; only ``cache`` and those that `SMALLEST` and `LARGEST` name are checked.

    Raises:
        UserError: a value is no number, no whole number or out of its range.
    """
    if "cache" in options:
        check_cache(options["cache"])
    for name, value in options.items():
        if value is None and name in MAY_BE_NONE:
            continue
        if name in SMALLEST and not (type(value) is int and value >= SMALLEST[name]):
            raise UserError(f"--{name} {value!r}: give a whole number from {SMALLEST[name]}")
        if name in LARGEST and not (type(value) in (int, float) and 0 <= value <= LARGEST[name]):
            limit = f" to {LARGEST[name]:g}" if math.isfinite(LARGEST[name]) else ""
            raise UserError(f"--{name} {value!r}: give a number from 0{limit}")
