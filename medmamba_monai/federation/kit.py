"""The startup kit of a server or a site, as NVFlare provisions it: it must allow the classes of a federation."""

from __future__ import annotations

import json
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json

COMPONENTS = "medmamba_monai.federation"
"""What NVFlare's list of allowed classes must have at server and sites."""
_ALLOWED = "class_allow_list"


def allow_classes(kit: str | Path) -> Path:
    """Add the classes of a federation to those that a startup kit allows jobs to use; nothing else is changed.

    Args:
        kit: folder of the kit of a server or a site.

    Returns:
        The file that says what is allowed.

    Raises:
        UserError: the folder is no such kit, or its file cannot be read or written.
    """
    target = Path(kit) / "local" / "resources.json"
    source = target if target.is_file() else target.with_name("resources.json.default")
    if not source.is_file():
        raise UserError(
            f"{kit}: is no startup kit of an NVFlare server or site (no {source.relative_to(kit)}); give a folder that "
            "`nvflare provision` or `nvflare poc prepare` made"
        )
    try:
        resources = dict(json.loads(source.read_text(encoding="utf-8")))
        allowed = list(resources[_ALLOWED])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source}: cannot be read as the resources of a startup kit: {error}") from error
    if COMPONENTS not in allowed:
        write_json(target, {**resources, _ALLOWED: [*allowed, COMPONENTS]})
    return target
