"""The check of ``overrides``, which MONAI itself takes with any name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from monai.bundle import ConfigParser

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.suggestions import suggest_name


def check_overrides(overrides: Mapping[str, Any], config_files: Iterable[str]) -> None:
    """Refuse an override of something that no config has: it would change nothing, and nobody would be told.

    Args:
        overrides: values by id, such as ``train#trainer#max_epochs``.
        config_files: the configs of a fold's training and of its evaluation.

    Raises:
        UserError: an id begins with a name that none of them has; names the nearest.
    """
    if not overrides:
        return
    known = set(ConfigParser.load_config_files(list(config_files)))
    for name in overrides:
        if (top := re.split("[#:]", name)[0].lstrip("+~")) not in known:
            raise UserError(f"--overrides {name}: the configs have no {top}; {suggest_name(top, known)}")
