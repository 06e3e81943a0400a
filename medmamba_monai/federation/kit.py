"""The startup kit of a server or a site, as NVFlare provisions it, made ready for a federation."""

from __future__ import annotations

import json
from pathlib import Path

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json

COMPONENTS = "medmamba_monai.federation"
"""What NVFlare's list of allowed classes must have at server and sites."""
_ALLOWED, _LOGS_LEAVE = "class_allow_list", "allow_log_streaming"


def prepare_kit(kit: str | Path) -> Path:
    """Let a startup kit allow the classes of a federation, and keep a site's logs at the site; nothing else is changed.

    NVFlare 2.9 provisions sites that send the errors of their logs to the server, where a message may name folders
    and files.

    Args:
        kit: folder of the kit of a server or a site.

    Returns:
        The file that says so.

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
    if COMPONENTS not in allowed or resources.get(_LOGS_LEAVE, True):
        listed = allowed if COMPONENTS in allowed else [*allowed, COMPONENTS]
        write_json(target, {**resources, _ALLOWED: listed, _LOGS_LEAVE: False})
    return target
