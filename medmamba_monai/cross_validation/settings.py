"""The settings that a cross-validation keeps in its folder, so that it goes on as it began."""

from __future__ import annotations

import json

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_json
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.plan import Plan


def check_same_settings(plan: Plan) -> None:
    """Keep the settings in the folder, or compare them with those that are there.

    Raises:
        UserError: they differ.
    """
    path = RunFolder(plan.output_dir).settings
    settings = json.loads(json.dumps(plan.settings()))
    goes_on = path.is_file() and not plan.starts_afresh
    saved = json.loads(path.read_text(encoding="utf-8")) if goes_on else settings
    for key in sorted(saved.keys() | settings.keys()):
        if (saved.get(key) or None) != (settings.get(key) or None):  # an option is off where it did not exist yet
            raise UserError(
                f"{plan.output_dir} holds a cross-validation with {key} {saved.get(key)!r}, but "
                f"{settings.get(key)!r} is asked for: use the same value to go on, or another --run_name"
            )
    write_json(path, settings)
